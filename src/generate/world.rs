//! The organization whose logs are made up: its accounts, who works in them, and from where.
//!
//! Everything is obviously not real: account numbers in the manner of the AWS documentation, addresses
//! from the ranges reserved for documentation, and keys and ids that end in EXAMPLE.

use super::record::{push, push_time};
use super::rng::Rng;
use super::{GLOBAL_REGION, Options};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Management,
    Workload,
    LogArchive,
}

/// The organization, set up once from the options.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) accounts: Vec<Account>,
    /// Where things run; the global services log in `us-east-1`, which is always among them.
    pub(super) regions: Vec<String>,
    /// The region where most of the work is: the first that is not `us-east-1`, if there is one.
    pub(super) main_region: String,
    pub(super) bucket: String,
    pub(super) organization_id: String,
}

/// One account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Address of its NAT gateway.
    pub(super) nat: String,
    /// Name of its application, which names its roles, buckets and tables.
    pub(super) app: &'static str,
    pub(super) instances: Vec<String>,
    pub(super) key_id: String,
    pub(super) vpc_endpoint: String,
    pub(super) app_role: Role,
    pub(super) function_role: Role,
    pub(super) config_role: Role,
    pub(super) staff_role: Role,
    pub(super) deploy_role: Role,
}

/// An IAM role.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) name: String,
    /// `AROA…EXAMPLE`.
    pub(super) id: String,
    pub(super) arn: String,
}

/// Somebody with access through the identity centre.
pub(super) const STAFF: [&str; 5] = ["mina.okafor", "jonas.lind", "priya.raman", "tomas.varga", "elif.kaya"];

/// Addresses that staff work from: office, office over IPv6, and two at home.
pub(super) const STAFF_ADDRESSES: [&str; 4] =
    ["198.51.100.10", "2001:db8:40:2::1c", "198.51.100.77", "2001:db8:77:1a::9"];

/// By account; the second account gets the first.
const APPS: [&str; 4] = ["orders", "catalog", "payments", "search"];

impl World {
    pub(super) fn new(options: &Options) -> Self {
        let mut regions = options.regions.clone();
        if !regions.iter().any(|region| region == GLOBAL_REGION) {
            regions.insert(0, GLOBAL_REGION.to_owned());
        }
        let main_region = regions.iter().find(|region| *region != GLOBAL_REGION);
        Self {
            accounts: (0..options.accounts).map(|index| Account::new(options.seed, index)).collect(),
            main_region: main_region.unwrap_or(&regions[0]).clone(),
            regions,
            bucket: options.bucket.clone(),
            organization_id: options.organization_id.clone(),
        }
    }

    /// Returns how much of the traffic an account and region gets, relative to the others.
    pub(super) fn weight(&self, account: &Account, region: &str) -> u64 {
        let of_account = match account.kind {
            Kind::Management => 2,
            Kind::Workload => 9,
            Kind::LogArchive => 1,
        };
        let of_region = match region {
            region if region == self.main_region => 6,
            GLOBAL_REGION => 4,
            _ => 1,
        };
        of_account * of_region
    }
}

impl Account {
    fn new(seed: u64, index: usize) -> Self {
        let id = account_id(index);
        let mut rng = Rng::new(seed, &[u64::MAX, index as u64]);
        let kind = match index {
            0 => Kind::Management,
            2 => Kind::LogArchive,
            _ => Kind::Workload,
        };
        let app = match kind {
            Kind::Management => "billing",
            Kind::LogArchive => "archive",
            Kind::Workload => APPS[index.saturating_sub(2) % APPS.len()],
        };
        let role = |path: &str, name: String, rng: &mut Rng| Role::new(&id, path, name, rng);
        Self {
            nat: format!("192.0.2.{}", 20 + index % 100),
            instances: (0..6).map(|_| hex_id("i-0", &mut rng)).collect(),
            key_id: uuid(&mut rng),
            vpc_endpoint: hex_id("vpce-0", &mut rng),
            app_role: role("", format!("{app}-api"), &mut rng),
            function_role: role("", format!("{app}-worker"), &mut rng),
            config_role: role(
                "aws-service-role/config.amazonaws.com/",
                "AWSServiceRoleForConfig".to_owned(),
                &mut rng,
            ),
            staff_role: role(
                "aws-reserved/sso.amazonaws.com/",
                "AWSReservedSSO_Engineer_4f1c9e27ab03d856".to_owned(),
                &mut rng,
            ),
            deploy_role: role("", "github-deploy".to_owned(), &mut rng),
            id,
            kind,
            app,
        }
    }
}

/// Account numbers in the manner of the AWS documentation; the first is the management account, the third
/// keeps the logs.
fn account_id(index: usize) -> String {
    match index {
        0 => "111122223333".to_owned(),
        1 => "444455556666".to_owned(),
        2 => "777788889999".to_owned(),
        _ => format!("2222000{index:05}"),
    }
}

impl Role {
    fn new(account_id: &str, path: &str, name: String, rng: &mut Rng) -> Self {
        let mut id = "AROA".to_owned();
        rng.push_base32(&mut id, 10);
        id.push_str("EXAMPLE");
        Self { id, arn: format!("arn:aws:iam::{account_id}:role/{path}{name}"), name }
    }

    /// Returns the JSON of `userIdentity` of a session that began at `since`. `invoked_by` is the service
    /// that acts in it, `more` goes into the session's context.
    pub(super) fn identity(
        &self,
        account_id: &str,
        session: &str,
        since: i64,
        invoked_by: &str,
        more: &str,
    ) -> String {
        let Self { name, id, arn } = self;
        let mut out = String::with_capacity(720);
        push(
            &mut out,
            &[
                r#"{"type":"AssumedRole","principalId":""#,
                id,
                ":",
                session,
                r#"","arn":"arn:aws:sts::"#,
                account_id,
                ":assumed-role/",
                name,
                "/",
                session,
                r#"","accountId":""#,
                account_id,
                r#"","accessKeyId":""#,
            ],
        );
        push_session_key(&mut out, id, since);
        push(
            &mut out,
            &[
                r#"","sessionContext":{"sessionIssuer":{"type":"Role","principalId":""#,
                id,
                r#"","arn":""#,
                arn,
                r#"","accountId":""#,
                account_id,
                r#"","userName":""#,
                name,
                r#""},"webIdFederationData":{},"attributes":{"creationDate":""#,
            ],
        );
        push_time(&mut out, since);
        push(&mut out, &[r#"","mfaAuthenticated":"false"}"#, more, "}"]);
        if !invoked_by.is_empty() {
            push(&mut out, &[r#","invokedBy":""#, invoked_by, r#".amazonaws.com""#]);
        }
        out.push('}');
        out
    }
}

/// The temporary key of a session: the same for all calls of the session, and unlike that of any other.
fn push_session_key(out: &mut String, role_id: &str, since: i64) {
    let role = role_id.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    out.push_str("ASIA");
    Rng::new(role, &[since.unsigned_abs()]).push_base32(out, 9);
    out.push_str("EXAMPLE");
}

/// Returns an id like `i-0…`, 17 hex digits after the dash.
pub(super) fn hex_id(start: &str, rng: &mut Rng) -> String {
    let mut id = start.to_owned();
    rng.push_hex(&mut id, 16);
    id
}

/// Returns a UUID.
pub(super) fn uuid(rng: &mut Rng) -> String {
    let mut id = String::with_capacity(36);
    rng.push_uuid(&mut id);
    id
}

/// Returns `AWSService` as the caller.
pub(super) fn service(name: &str) -> String {
    format!(r#"{{"type":"AWSService","invokedBy":"{name}.amazonaws.com"}}"#)
}

/// Returns the JSON of `userIdentity` of an IAM user with a long-lived key.
pub(super) fn user(account_id: &str, name: &str, principal: &str, access_key: &str) -> String {
    format!(
        r#"{{"type":"IAMUser","principalId":"{principal}","arn":"arn:aws:iam::{account_id}:user/{name}","accountId":"{account_id}","accessKeyId":"{access_key}","userName":"{name}"}}"#
    )
}
