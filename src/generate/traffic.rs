//! The everyday traffic: what services, applications and people do all day in an organization.

mod apps;
mod people;
mod services;

use super::GLOBAL_REGION;
use super::record::{Record, push};
use super::rng::Rng;
use super::world::{Account, Kind, STAFF, STAFF_ADDRESSES, World};

/// Where and when an event happens.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) account: &'a Account,
    pub(super) region: &'a str,
    pub(super) time: i64,
}

type Template = fn(Scene, &mut Rng, &mut String);

/// What happens everywhere, by weight. Half of it are services at work, as in real accounts.
const EVERYWHERE: &[(u64, Template)] = &[
    (14, services::service_assumes_role),
    (12, services::describe_by_config),
    (10, apps::describe_by_app),
    (5, people::describe_by_staff),
    (8, apps::kms_decrypt_by_app),
    (8, services::kms_data_key_by_cloudtrail),
    (10, apps::ssm_by_instance),
    (7, apps::log_stream_by_function),
    (4, services::put_evaluations),
    (4, apps::secret_by_app),
    (4, services::targets_by_load_balancer),
    (2, people::cloudtrail_by_staff),
    (3, apps::metrics_by_user),
    (2, apps::throttled),
];

/// What happens besides where applications run.
const WORKLOAD: &[(u64, Template)] =
    &[(24, apps::get_object), (12, apps::put_object), (14, apps::invoke_function), (3, apps::missing_object)];

/// What happens besides where the log bucket is.
const LOG_ARCHIVE: &[(u64, Template)] =
    &[(30, services::bucket_acl_by_cloudtrail), (12, services::put_log_by_cloudtrail)];

/// What happens besides in us-east-1, where the global services log.
const GLOBAL: &[(u64, Template)] = &[
    (7, services::iam_by_config),
    (3, people::console_login),
    (3, people::identity_center_login),
    (4, people::web_identity),
    (1, people::root_looks),
];

/// Writes one event.
pub(super) fn write_event(scene: Scene, rng: &mut Rng, out: &mut String) {
    let here = match scene.account.kind {
        Kind::Workload => WORKLOAD,
        Kind::LogArchive => LOG_ARCHIVE,
        Kind::Management => &[],
    };
    let global = if scene.region == GLOBAL_REGION { GLOBAL } else { &[] };
    let all = EVERYWHERE.iter().chain(here).chain(global);
    let index = rng.weighted(all.clone().map(|(weight, _)| *weight));
    if let Some((_, template)) = all.clone().nth(index) {
        template(scene, rng, out);
    }
}

// What callers say they are.
const BOTO: &str = "Boto3/1.35.36 md/Botocore#1.35.36 ua/2.0 os/linux#6.1.112 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard Botocore/1.35.36";
const JAVA: &str = "aws-sdk-java/2.29.12 md/io#sync md/http#Apache ua/2.0 os/Linux#6.1.112 lang/java#21.0.5 md/OpenJDK_64-Bit_Server_VM#21.0.5+11-LTS md/vendor#Example md/en_US";
const GO: &str =
    "aws-sdk-go-v2/1.32.4 ua/2.1 os/linux lang/go#1.23.2 md/GOOS#linux md/GOARCH#arm64 api/ssm#1.55.5";
const AGENT: &str = "aws-sdk-go/1.55.5 (go1.22.7; linux; amd64) amazon-ssm-agent/3.3.1142.0";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
const CLI: &str = "aws-cli/2.19.1 md/awscrt#0.22.0 ua/2.0 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.7 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off";

impl<'a> Scene<'a> {
    /// A call at this place and time.
    fn call(&self, source: &'a str, name: &'a str) -> Record<'a> {
        let account = self.account.id.as_str();
        Record { time: self.time, region: self.region, account, ..Record::call(source, name) }
    }

    fn host(&self, service: &str) -> String {
        format!("{service}.{}.amazonaws.com", self.region)
    }

    /// A session lasts an hour; all in the hour share it.
    fn session_start(&self, offset: i64) -> i64 {
        self.time - (self.time - offset).rem_euclid(3600)
    }

    /// An application on an instance.
    fn app(&self, rng: &mut Rng) -> String {
        let index = rng.index(self.account.instances.len());
        let offset = i64::try_from(index).unwrap_or(0) * 311;
        let since = self.session_start(offset);
        self.account.app_role.identity(
            &self.account.id,
            &self.account.instances[index],
            since,
            "",
            r#","ec2RoleDelivery":"2.0""#,
        )
    }

    /// A Lambda function.
    fn function(&self) -> String {
        let role = &self.account.function_role;
        role.identity(&self.account.id, &role.name, self.session_start(1507), "", "")
    }

    /// Somebody of the staff, and from where.
    fn staff(&self, rng: &mut Rng) -> (String, &'static str) {
        let index = rng.index(STAFF.len());
        let offset = i64::try_from(index).unwrap_or(0) * 577;
        let identity = self.account.staff_role.identity(
            &self.account.id,
            STAFF[index],
            self.session_start(offset),
            "",
            "",
        );
        (identity, STAFF_ADDRESSES[index % STAFF_ADDRESSES.len()])
    }

    fn kms_resource(&self) -> String {
        let Self { account, region, .. } = self;
        format!(
            r#"[{{"accountId":"{0}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{region}:{0}:key/{1}"}}]"#,
            account.id, account.key_id
        )
    }
}

/// Calls of EC2 that only look, with a request that fits each.
const DESCRIBE: [(&str, &str); 8] = [
    ("DescribeInstances", r#"{"maxResults":1000,"instancesSet":{},"filterSet":{}}"#),
    ("DescribeVolumes", r#"{"maxResults":500,"volumeSet":{},"filterSet":{}}"#),
    (
        "DescribeSecurityGroups",
        r#"{"maxResults":1000,"securityGroupSet":{},"securityGroupIdSet":{},"filterSet":{}}"#,
    ),
    ("DescribeSubnets", r#"{"subnetSet":{},"filterSet":{}}"#),
    ("DescribeNetworkInterfaces", r#"{"maxResults":1000,"networkInterfaceIdSet":{},"filterSet":{}}"#),
    ("DescribeTags", r#"{"maxResults":1000,"filterSet":{}}"#),
    ("DescribeRouteTables", r#"{"routeTableIdSet":{},"filterSet":{}}"#),
    (
        "DescribeSnapshots",
        r#"{"maxResults":1000,"snapshotSet":{},"ownersSet":{"items":[{"owner":"self"}]},"filterSet":{}}"#,
    ),
];

fn s3_resources(account: &Account, bucket: &str, key: &str) -> String {
    format!(
        r#"[{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::{bucket}/{key}"}},{{"accountId":"{}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}}]"#,
        account.id
    )
}

fn s3_additional(rng: &mut Rng, bytes_in: u64, bytes_out: u64) -> String {
    let mut out = format!(
        r#"{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":{bytes_in},"AuthenticationMethod":"AuthHeader","x-amz-id-2":""#
    );
    rng.push_alphanumeric(&mut out, 56);
    push(&mut out, &[r#"EXAMPLE=","bytesTransferredOut":"#, &bytes_out.to_string(), "}"]);
    out
}
