//! The everyday traffic: what services, applications and people do all day in an organization.

use super::GLOBAL_REGION;
use super::record::Record;
use super::rng::Rng;
use super::world::{self, Account, Kind, STAFF, STAFF_ADDRESSES, World};

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
    (14, service_assumes_role),
    (12, describe_by_config),
    (10, describe_by_app),
    (5, describe_by_staff),
    (8, kms_decrypt_by_app),
    (8, kms_data_key_by_cloudtrail),
    (10, ssm_by_instance),
    (7, log_stream_by_function),
    (4, put_evaluations),
    (4, secret_by_app),
    (4, targets_by_load_balancer),
    (2, cloudtrail_by_staff),
    (3, metrics_by_user),
    (2, throttled),
];

/// What happens besides where applications run.
const WORKLOAD: &[(u64, Template)] =
    &[(24, get_object), (12, put_object), (14, invoke_function), (3, missing_object)];

/// What happens besides where the log bucket is.
const LOG_ARCHIVE: &[(u64, Template)] = &[(30, bucket_acl_by_cloudtrail), (12, put_log_by_cloudtrail)];

/// What happens besides in us-east-1, where the global services log.
const GLOBAL: &[(u64, Template)] =
    &[(7, iam_by_config), (3, console_login), (3, identity_center_login), (4, web_identity), (1, root_looks)];

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

const BOTO: &str = "Boto3/1.35.36 md/Botocore#1.35.36 ua/2.0 os/linux#6.1.112 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard Botocore/1.35.36";
const JAVA: &str = "aws-sdk-java/2.29.12 md/io#sync md/http#Apache ua/2.0 os/Linux#6.1.112 lang/java#21.0.5 md/OpenJDK_64-Bit_Server_VM#21.0.5+11-LTS md/vendor#Example md/en_US";
const GO: &str =
    "aws-sdk-go-v2/1.32.4 ua/2.1 os/linux lang/go#1.23.2 md/GOOS#linux md/GOARCH#arm64 api/ssm#1.55.5";
const AGENT: &str = "aws-sdk-go/1.55.5 (go1.22.7; linux; amd64) amazon-ssm-agent/3.3.1142.0";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
const CLI: &str = "aws-cli/2.19.1 md/awscrt#0.22.0 ua/2.0 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.7 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off";
/// Messages as EC2 and the others word them.
const RATE_EXCEEDED: &str = "Rate exceeded";

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

fn service_assumes_role(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (service, role) = match rng.below(5) {
        0 => ("ec2", &scene.account.app_role),
        1 | 2 => ("lambda", &scene.account.function_role),
        3 => ("ecs-tasks", &scene.account.app_role),
        _ => ("config", &scene.account.config_role),
    };
    let session = match service {
        "ec2" => scene.account.instances[rng.index(scene.account.instances.len())].as_str(),
        "lambda" => role.name.as_str(),
        _ => "configuration-recorder",
    };
    let mut key = "ASIA".to_owned();
    rng.push_base32(&mut key, 9);
    let agent = format!("{service}.amazonaws.com");
    let request =
        format!(r#"{{"roleArn":"{}","roleSessionName":"{session}","durationSeconds":3600}}"#, role.arn);
    let response = format!(
        r#"{{"credentials":{{"accessKeyId":"{key}EXAMPLE","sessionToken":"EXAMPLEtokenThatIsNone==","expiration":"{}"}},"assumedRoleUser":{{"assumedRoleId":"{}:{session}","arn":"arn:aws:sts::{}:assumed-role/{}/{session}"}}}}"#,
        super::record::iso_time(scene.time + 3600),
        role.id,
        scene.account.id,
        role.name
    );
    let resources =
        format!(r#"[{{"accountId":"{}","type":"AWS::IAM::Role","ARN":"{}"}}]"#, scene.account.id, role.arn);
    let record = Record {
        version: "1.08",
        identity: &world::service(service),
        address: &agent,
        agent: &agent,
        request: &request,
        response: &response,
        resources: &resources,
        shared_event_id: &world::uuid(rng),
        ..scene.call("sts", "AssumeRole")
    };
    record.write(out, rng);
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

fn describe_by_config(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (name, request) = DESCRIBE[rng.index(DESCRIBE.len())];
    let role = &scene.account.config_role;
    let since = scene.session_start(2203);
    let identity = role.identity(&scene.account.id, "AWSConfig-Describe", since, "config", "");
    let (address, agent) = ("config.amazonaws.com", "config.amazonaws.com");
    Record { version: "1.10", identity: &identity, address, agent, request, ..scene.call("ec2", name) }
        .write(out, rng);
}

fn describe_by_app(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (name, request) = DESCRIBE[rng.index(3)];
    let (identity, host) = (scene.app(rng), scene.host("ec2"));
    let message = "You are not authorized to perform this operation. User is not authorized to perform: ec2:DescribeVolumes because no identity-based policy allows the ec2:DescribeVolumes action";
    let record = Record {
        version: "1.10",
        identity: &identity,
        address: &scene.account.nat,
        agent: BOTO,
        // An old agent that nobody fixed: it asks for volumes and may not.
        error: (name == "DescribeVolumes" && rng.one_in(3))
            .then_some(("Client.UnauthorizedOperation", message)),
        request,
        tls_host: &host,
        ..scene.call("ec2", name)
    };
    record.write(out, rng);
}

fn describe_by_staff(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (name, request) = DESCRIBE[rng.index(DESCRIBE.len())];
    let ((identity, address), host) = (scene.staff(rng), scene.host("ec2"));
    let from_console = rng.one_in(2);
    let agent = if from_console { BROWSER } else { CLI };
    let version = "1.10";
    let tls_host = host.as_str();
    let identity = identity.as_str();
    Record { version, identity, address, agent, request, tls_host, from_console, ..scene.call("ec2", name) }
        .write(out, rng);
}

fn kms_decrypt_by_app(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (identity, host, resources) = (scene.app(rng), scene.host("kms"), scene.kms_resource());
    let request = format!(
        r#"{{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{{"service":"{}","shard":"{}"}},"keyId":"{}"}}"#,
        scene.account.app,
        rng.below(16),
        scene.account.key_id
    );
    let record = Record {
        identity: &identity,
        address: &scene.account.nat,
        agent: JAVA,
        request: &request,
        resources: &resources,
        vpc_endpoint: &scene.account.vpc_endpoint,
        tls_host: &host,
        ..scene.call("kms", "Decrypt")
    };
    record.write(out, rng);
}

fn kms_data_key_by_cloudtrail(scene: Scene, rng: &mut Rng, out: &mut String) {
    let resources = scene.kms_resource();
    let request = format!(
        r#"{{"keySpec":"AES_256","encryptionContext":{{"aws:cloudtrail:arn":"arn:aws:cloudtrail:{}:{}:trail/{}"}},"keyId":"{}"}}"#,
        GLOBAL_REGION,
        scene.world.accounts[0].id,
        super::TRAIL,
        scene.account.key_id
    );
    let service = "cloudtrail.amazonaws.com";
    let record = Record {
        version: "1.08",
        identity: &world::service("cloudtrail"),
        address: service,
        agent: service,
        request: &request,
        resources: &resources,
        shared_event_id: &world::uuid(rng),
        ..scene.call("kms", "GenerateDataKey")
    };
    record.write(out, rng);
}

fn ssm_by_instance(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (identity, host) = (scene.app(rng), scene.host("ssm"));
    let (name, request, agent) = if rng.one_in(3) {
        let request = format!(
            r#"{{"name":"/{0}/{1}","withDecryption":true}}"#,
            scene.account.app,
            rng.pick(&["database-url", "feature-flags", "rate-limit", "session-ttl"])
        );
        ("GetParameter", request, GO)
    } else {
        let instance = &scene.account.instances[rng.index(scene.account.instances.len())];
        let request = format!(
            r#"{{"instanceId":"{instance}","agentVersion":"3.3.1142.0","agentStatus":"Active","platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023","iPAddress":"{}","computerName":"{}-host.internal","agentName":"amazon-ssm-agent"}}"#,
            scene.account.nat, scene.account.app
        );
        ("UpdateInstanceInformation", request, AGENT)
    };
    let record = Record {
        version: "1.09",
        identity: &identity,
        address: &scene.account.nat,
        agent,
        request: &request,
        read_only: name == "GetParameter",
        tls_host: &host,
        ..scene.call("ssm", name)
    };
    record.write(out, rng);
}

fn log_stream_by_function(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (identity, host) = (scene.function(), scene.host("logs"));
    let mut stream = String::with_capacity(32);
    rng.push_hex(&mut stream, 32);
    let day = super::record::iso_time(scene.time)[..10].replace('-', "/");
    let role = &scene.account.function_role.name;
    let request =
        format!(r#"{{"logGroupName":"/aws/lambda/{role}","logStreamName":"{day}/[$LATEST]{stream}"}}"#);
    let record = Record {
        version: "1.09",
        identity: &identity,
        address: &scene.account.nat,
        agent: "awslambda-worker/1.0",
        request: &request,
        read_only: false,
        tls_host: &host,
        ..scene.call("logs", "CreateLogStream")
    };
    record.write(out, rng);
}

fn put_evaluations(scene: Scene, rng: &mut Rng, out: &mut String) {
    let role = &scene.account.config_role;
    let since = scene.session_start(2203);
    let identity = role.identity(&scene.account.id, "AWSConfig-Rules", since, "config", "");
    let bucket = rng.below(40);
    let request = format!(
        r#"{{"evaluations":[{{"complianceResourceType":"AWS::S3::Bucket","complianceResourceId":"{}-assets-{bucket}","complianceType":"COMPLIANT","orderingTimestamp":"{}"}}],"testMode":false}}"#,
        scene.account.app,
        super::record::iso_time(scene.time)
    );
    let record = Record {
        version: "1.08",
        identity: &identity,
        address: "config.amazonaws.com",
        agent: "config.amazonaws.com",
        request: &request,
        response: r#"{"failedEvaluations":[]}"#,
        read_only: false,
        ..scene.call("config", "PutEvaluations")
    };
    record.write(out, rng);
}

fn secret_by_app(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (identity, host) = (scene.app(rng), scene.host("secretsmanager"));
    let request = format!(r#"{{"secretId":"{}/database","versionStage":"AWSCURRENT"}}"#, scene.account.app);
    let record = Record {
        version: "1.10",
        identity: &identity,
        address: &scene.account.nat,
        agent: JAVA,
        request: &request,
        vpc_endpoint: &scene.account.vpc_endpoint,
        tls_host: &host,
        ..scene.call("secretsmanager", "GetSecretValue")
    };
    record.write(out, rng);
}

fn targets_by_load_balancer(scene: Scene, rng: &mut Rng, out: &mut String) {
    let role = &scene.account.app_role;
    let identity =
        role.identity(&scene.account.id, "ecs-service-scheduler", scene.session_start(911), "ecs", "");
    let request = format!(
        r#"{{"targetGroupArn":"arn:aws:elasticloadbalancing:{}:{}:targetgroup/{}-{}/EXAMPLE{}"}}"#,
        scene.region,
        scene.account.id,
        scene.account.app,
        rng.pick(&["blue", "green"]),
        rng.below(9)
    );
    let record = Record {
        version: "1.10",
        identity: &identity,
        address: "ecs.amazonaws.com",
        agent: "ecs.amazonaws.com",
        request: &request,
        ..scene.call("elasticloadbalancing", "DescribeTargetHealth")
    };
    record.write(out, rng);
}

fn cloudtrail_by_staff(scene: Scene, rng: &mut Rng, out: &mut String) {
    let ((identity, address), host) = (scene.staff(rng), scene.host("cloudtrail"));
    let (name, request) = match rng.below(3) {
        0 => ("DescribeTrails", r#"{"trailNameList":[],"includeShadowTrails":true}"#),
        1 => ("GetTrailStatus", r#"{"name":"org-trail"}"#),
        _ => (
            "LookupEvents",
            r#"{"maxResults":50,"lookupAttributes":[{"attributeKey":"ReadOnly","attributeValue":"false"}]}"#,
        ),
    };
    let record = Record {
        identity: &identity,
        address,
        agent: BROWSER,
        request,
        tls_host: &host,
        from_console: true,
        ..scene.call("cloudtrail", name)
    };
    record.write(out, rng);
}

fn metrics_by_user(scene: Scene, rng: &mut Rng, out: &mut String) {
    let identity =
        world::user(&scene.account.id, "metrics-reader", "AIDAMETRICSREADEREXAMPLE", "AKIAMETRICS77EXAMPLE");
    let (name, request) = if rng.one_in(2) {
        ("ListMetrics", r#"{"recentlyActive":"PT3H"}"#)
    } else {
        ("DescribeAlarms", r#"{"maxRecords":100,"stateValue":"ALARM"}"#)
    };
    let host = scene.host("monitoring");
    let address = rng.pick(&["2001:db8:5:5::7", "192.0.2.200"]);
    let version = "1.09";
    let (identity, tls_host) = (identity.as_str(), host.as_str());
    Record { version, identity, address, agent: GO, request, tls_host, ..scene.call("monitoring", name) }
        .write(out, rng);
}

fn throttled(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (source, name, code, request) = match rng.below(3) {
        0 => ("lambda", "ListFunctions20150331", "TooManyRequestsException", r#"{"maxItems":50}"#),
        1 => ("ec2", "DescribeInstances", "Client.RequestLimitExceeded", DESCRIBE[0].1),
        _ => ("logs", "DescribeLogStreams", "ThrottlingException", r#"{"limit":50,"descending":false}"#),
    };
    let (identity, host) = (scene.app(rng), scene.host(source));
    let record = Record {
        version: "1.10",
        identity: &identity,
        address: &scene.account.nat,
        agent: BOTO,
        error: Some((code, RATE_EXCEEDED)),
        request,
        tls_host: &host,
        ..scene.call(source, name)
    };
    record.write(out, rng);
}

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
    super::record::push(&mut out, &[r#"EXAMPLE=","bytesTransferredOut":"#, &bytes_out.to_string(), "}"]);
    out
}

/// An S3 data event of the application.
fn s3_object(scene: Scene, rng: &mut Rng, out: &mut String, name: &str, error: Option<(&str, &str)>) {
    let bucket = format!("{}-assets", scene.account.app);
    let folder = rng.pick(&["covers", "invoices", "labels", "feeds"]);
    let key = format!("{folder}/2026/{:05}.{}", rng.below(40_000), rng.pick(&["json", "pdf", "webp"]));
    let host = format!("{bucket}.s3.{}.amazonaws.com", scene.region);
    let request = format!(r#"{{"bucketName":"{bucket}","Host":"{host}","key":"{key}"}}"#);
    let size = 800 + rng.below(400_000);
    let (bytes_in, bytes_out) = match (name, error) {
        ("PutObject", _) => (size, 0),
        (_, Some(_)) => (0, 243),
        _ => (0, size),
    };
    let (identity, agent) = if rng.one_in(3) { (scene.function(), BOTO) } else { (scene.app(rng), JAVA) };
    let additional = s3_additional(rng, bytes_in, bytes_out);
    let response = if name == "PutObject" { r#"{"x-amz-server-side-encryption":"aws:kms"}"# } else { "null" };
    let record = Record {
        identity: &identity,
        address: &scene.account.nat,
        agent,
        error,
        request: &request,
        response,
        additional: &additional,
        read_only: name != "PutObject",
        resources: &s3_resources(scene.account, &bucket, &key),
        category: "Data",
        vpc_endpoint: if rng.one_in(2) { &scene.account.vpc_endpoint } else { "" },
        tls_host: &host,
        ..scene.call("s3", name)
    };
    record.write(out, rng);
}

fn get_object(scene: Scene, rng: &mut Rng, out: &mut String) {
    s3_object(scene, rng, out, "GetObject", None);
}

fn put_object(scene: Scene, rng: &mut Rng, out: &mut String) {
    s3_object(scene, rng, out, "PutObject", None);
}

fn missing_object(scene: Scene, rng: &mut Rng, out: &mut String) {
    let error = if rng.one_in(4) {
        ("AccessDenied", "Access Denied")
    } else {
        ("NoSuchKey", "The specified key does not exist.")
    };
    s3_object(scene, rng, out, "GetObject", Some(error));
}

fn invoke_function(scene: Scene, rng: &mut Rng, out: &mut String) {
    let Scene { account, region, .. } = scene;
    let arn = format!("arn:aws:lambda:{region}:{}:function:{}-worker", account.id, account.app);
    let request = format!(
        r#"{{"functionName":"{arn}","sourceArn":"arn:aws:events:{region}:{}:rule/{}-queue"}}"#,
        account.id, account.app
    );
    let resources =
        format!(r#"[{{"accountId":"{}","type":"AWS::Lambda::Function","ARN":"{arn}"}}]"#, account.id);
    let record = Record {
        version: "1.09",
        identity: &world::service("events"),
        address: "events.amazonaws.com",
        agent: "events.amazonaws.com",
        request: &request,
        read_only: false,
        resources: &resources,
        category: "Data",
        shared_event_id: &world::uuid(rng),
        ..scene.call("lambda", "Invoke")
    };
    record.write(out, rng);
}

fn bucket_acl_by_cloudtrail(scene: Scene, rng: &mut Rng, out: &mut String) {
    let bucket = &scene.world.bucket;
    let request = format!(
        r#"{{"bucketName":"{bucket}","Host":"{bucket}.s3.{}.amazonaws.com","acl":""}}"#,
        scene.region
    );
    let resources = format!(
        r#"[{{"accountId":"{}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}}]"#,
        scene.account.id
    );
    let additional = s3_additional(rng, 0, 542);
    let record = Record {
        version: "1.10",
        identity: &world::service("cloudtrail"),
        address: "cloudtrail.amazonaws.com",
        agent: "cloudtrail.amazonaws.com",
        request: &request,
        additional: &additional,
        resources: &resources,
        shared_event_id: &world::uuid(rng),
        ..scene.call("s3", "GetBucketAcl")
    };
    record.write(out, rng);
}

fn put_log_by_cloudtrail(scene: Scene, rng: &mut Rng, out: &mut String) {
    let World { bucket, organization_id, accounts, .. } = scene.world;
    let account = &accounts[rng.index(accounts.len())].id;
    let mut key = format!("AWSLogs/{organization_id}/{account}/CloudTrail/{}/part-", scene.region);
    rng.push_alphanumeric(&mut key, 16);
    let request = format!(
        r#"{{"bucketName":"{bucket}","Host":"{bucket}.s3.{}.amazonaws.com","key":"{key}","x-amz-acl":"bucket-owner-full-control"}}"#,
        scene.region
    );
    let size = 900 + rng.below(9000);
    let additional = s3_additional(rng, size, 0);
    let record = Record {
        identity: &world::service("cloudtrail"),
        address: "cloudtrail.amazonaws.com",
        agent: "cloudtrail.amazonaws.com",
        request: &request,
        response: r#"{"x-amz-server-side-encryption":"AES256"}"#,
        additional: &additional,
        read_only: false,
        resources: &s3_resources(scene.account, bucket, &key),
        category: "Data",
        shared_event_id: &world::uuid(rng),
        ..scene.call("s3", "PutObject")
    };
    record.write(out, rng);
}

fn iam_by_config(scene: Scene, rng: &mut Rng, out: &mut String) {
    let role = &scene.account.config_role;
    let since = scene.session_start(2203);
    let identity = role.identity(&scene.account.id, "AWSConfig-Describe", since, "config", "");
    let app_role = &scene.account.app_role.name;
    let (name, request) = match rng.below(4) {
        0 => ("GetRole", format!(r#"{{"roleName":"{app_role}"}}"#)),
        1 => ("ListAttachedRolePolicies", format!(r#"{{"roleName":"{app_role}"}}"#)),
        2 => ("ListUsers", r#"{"maxItems":1000}"#.to_owned()),
        _ => ("GetAccountPasswordPolicy", "null".to_owned()),
    };
    let error = (name == "GetAccountPasswordPolicy").then_some((
        "NoSuchEntityException",
        "The Password Policy with domain name is not set for this account.",
    ));
    let record = Record {
        version: "1.09",
        identity: &identity,
        address: "config.amazonaws.com",
        agent: "config.amazonaws.com",
        error,
        request: &request,
        ..scene.call("iam", name)
    };
    record.write(out, rng);
}

/// The few who still have an IAM user sign in with a second factor, and mistype now and then.
fn console_login(scene: Scene, rng: &mut Rng, out: &mut String) {
    let who = rng.index(2);
    let name = ["break-glass", "auditor"][who];
    let identity = format!(
        r#"{{"type":"IAMUser","principalId":"AIDACONSOLE{who}XEXAMPLE","arn":"arn:aws:iam::{0}:user/{name}","accountId":"{0}","userName":"{name}"}}"#,
        scene.account.id
    );
    let failed = rng.one_in(6);
    let record = Record {
        version: "1.08",
        identity: &identity,
        address: STAFF_ADDRESSES[who],
        agent: BROWSER,
        error: failed.then_some(("AuthenticationFailed", "Failed authentication")),
        response: if failed { r#"{"ConsoleLogin":"Failure"}"# } else { r#"{"ConsoleLogin":"Success"}"# },
        additional: r#"{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"Yes"}"#,
        read_only: false,
        event_type: "AwsConsoleSignIn",
        tls_host: "signin.aws.amazon.com",
        ..scene.call("signin", "ConsoleLogin")
    };
    record.write(out, rng);
}

fn identity_center_login(scene: Scene, rng: &mut Rng, out: &mut String) {
    let who = rng.index(STAFF.len());
    let identity = format!(
        r#"{{"type":"IdentityCenterUser","accountId":"{}","onBehalfOf":{{"userId":"90670b41a-EXAMPLE-{who}","identityStoreArn":"arn:aws:identitystore::{}:identitystore/d-EXAMPLE123"}},"credentialId":"{}"}}"#,
        scene.account.id,
        scene.world.accounts[0].id,
        world::uuid(rng)
    );
    let details = r#"{"CredentialType":"TOTP","UserAuthentication":"Success"}"#;
    let additional = format!(
        r#"{{"AuthWorkflowID":"{}","UserName":"{}","CredentialType":"TOTP"}}"#,
        world::uuid(rng),
        STAFF[who]
    );
    let mut text = String::with_capacity(1200);
    let record = Record {
        identity: &identity,
        address: STAFF_ADDRESSES[who % STAFF_ADDRESSES.len()],
        agent: BROWSER,
        additional: &additional,
        read_only: false,
        event_type: "AwsServiceEvent",
        ..scene.call("signin", "CredentialVerification")
    };
    record.write(&mut text, rng);
    // serviceEventDetails stands before eventCategory in what services emit.
    let at = text.find(",\"eventCategory\"").unwrap_or(text.len() - 1);
    super::record::push(out, &[&text[..at], ",\"serviceEventDetails\":", details, &text[at..]]);
}

fn web_identity(scene: Scene, rng: &mut Rng, out: &mut String) {
    let role = &scene.account.deploy_role;
    let subject = format!("repo:example-books/{}:ref:refs/heads/main", scene.account.app);
    let provider = format!("arn:aws:iam::{}:oidc-provider/token.actions.example.com", scene.account.id);
    let identity = format!(
        r#"{{"type":"WebIdentityUser","principalId":"{provider}:sts.amazonaws.com:{subject}","userName":"{subject}","identityProvider":"{provider}"}}"#
    );
    let run = rng.below(90_000);
    let request =
        format!(r#"{{"roleArn":"{}","roleSessionName":"deploy-{run}","durationSeconds":900}}"#, role.arn);
    let response = format!(
        r#"{{"subjectFromWebIdentityToken":"{subject}","provider":"{provider}","audience":"sts.amazonaws.com","assumedRoleUser":{{"assumedRoleId":"{}:deploy-{run}","arn":"arn:aws:sts::{}:assumed-role/{}/deploy-{run}"}}}}"#,
        role.id, scene.account.id, role.name
    );
    let resources =
        format!(r#"[{{"accountId":"{}","type":"AWS::IAM::Role","ARN":"{}"}}]"#, scene.account.id, role.arn);
    let record = Record {
        version: "1.08",
        identity: &identity,
        address: rng.pick(&["192.0.2.145", "192.0.2.146", "2001:db8:9:c1::5"]),
        agent: "aws-sdk-nodejs/2.1692.0 linux/v20.18.0 configure-credentials promise",
        request: &request,
        response: &response,
        resources: &resources,
        tls_host: "sts.us-east-1.amazonaws.com",
        ..scene.call("sts", "AssumeRoleWithWebIdentity")
    };
    record.write(out, rng);
}

/// Nobody should, and now and then somebody does: the account's root user looks at the bill.
fn root_looks(scene: Scene, rng: &mut Rng, out: &mut String) {
    let identity = format!(
        r#"{{"type":"Root","principalId":"{0}","arn":"arn:aws:iam::{0}:root","accountId":"{0}","accessKeyId":"ASIAROOTSESS7EXAMPLE","sessionContext":{{"attributes":{{"creationDate":"{1}","mfaAuthenticated":"true"}}}}}}"#,
        scene.account.id,
        super::record::iso_time(scene.session_start(3001))
    );
    let record = Record {
        version: "1.08",
        identity: &identity,
        address: STAFF_ADDRESSES[0],
        agent: BROWSER,
        tls_host: "iam.amazonaws.com",
        from_console: true,
        ..scene.call("iam", "GetAccountSummary")
    };
    record.write(out, rng);
}
