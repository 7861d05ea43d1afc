//! The other side: the deployments that the CI user is there for, and the morning after.

use super::super::record::{Record, iso_time};
use super::super::world::STAFF;
use super::{
    ACCESS_ROLE, ACCOUNT_TRAIL, CI_KEY, CI_USER, Caller, DETECTOR, FOREIGN_ACCOUNT, MANAGEMENT, NEW_CI_KEY,
    PRODUCTION, SNAPSHOT, Teller, call, ci_identity,
};

const RUNNER: &str = "192.0.2.144";
const RUNNER_AGENT: &str = "aws-cli/2.18.0 md/awscrt#0.22.0 ua/2.0 os/linux#6.5.0-1025 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython exec-env/ci-runner cfg/retry-mode#standard md/installer#exe md/prompt#off";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

/// Deploys four times a day; from noon of the second day on with the new key.
pub(super) fn continuous_integration(teller: &mut Teller, day: i64) {
    for (run, (hour, minute)) in [(7, 10), (9, 20), (13, 40), (16, 5)].into_iter().enumerate() {
        let is_new = day > 1 || (day == 1 && run > 1);
        let identity = ci_identity(teller.world, if is_new { NEW_CI_KEY } else { CI_KEY });
        let runner = Caller { identity, address: RUNNER, agent: RUNNER_AGENT, from_console: false };
        let global = (MANAGEMENT, teller.global_region());
        let main = (MANAGEMENT, teller.main_region());
        let jitter = teller.rng.seconds(50);
        let time = teller.at(day, hour, minute, jitter);
        teller.tell(
            global,
            time,
            &runner,
            Record { version: "1.08", ..call("sts", "GetCallerIdentity", "null") },
        );
        let calls = [
            ("ecr", "GetAuthorizationToken", "null"),
            ("cloudformation", "DescribeStacks", r#"{"stackName":"storefront"}"#),
            (
                "cloudformation",
                "CreateChangeSet",
                r#"{"stackName":"storefront","changeSetName":"ci","capabilities":["CAPABILITY_IAM"]}"#,
            ),
            ("cloudformation", "ExecuteChangeSet", r#"{"stackName":"storefront","changeSetName":"ci"}"#),
            ("ecs", "UpdateService", r#"{"cluster":"storefront","service":"web","forceNewDeployment":true}"#),
        ];
        let mut at = time - 5;
        for (source, name, request) in calls {
            at += 14;
            teller.tell(main, at, &runner, Record { version: "1.10", ..call(source, name, request) });
        }
    }
}

/// Cuts the intruder off and puts things back, in the morning of the second day.
pub(super) fn respond(teller: &mut Teller) {
    let (home, main) = (teller.global_region(), teller.main_region());
    let in_management = engineer(teller, MANAGEMENT);
    let in_production = engineer(teller, PRODUCTION);
    let key = format!(r#"{{"userName":"{CI_USER}","accessKeyId":"{CI_KEY}","status":"Inactive"}}"#);
    let policy =
        format!(r#"{{"userName":"{CI_USER}","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}}"#);
    let user = format!(r#"{{"userName":"{CI_USER}"}}"#);
    let lookup = r#"{"lookupAttributes":[{"attributeKey":"EventName","attributeValue":"DeleteDetector"}],"maxResults":50}"#;

    teller.tell(
        (PRODUCTION, main),
        teller.at(1, 9, 41, 12),
        &in_production,
        call("cloudtrail", "LookupEvents", lookup),
    );
    teller.tell(
        (MANAGEMENT, home),
        teller.at(1, 10, 2, 33),
        &in_management,
        call("iam", "ListAccessKeys", &user),
    );
    teller.tell(
        (MANAGEMENT, home),
        teller.at(1, 10, 5, 48),
        &in_management,
        call("iam", "UpdateAccessKey", &key),
    );
    teller.tell(
        (MANAGEMENT, home),
        teller.at(1, 10, 7, 20),
        &in_management,
        call("iam", "DetachUserPolicy", &policy),
    );
    for (time, region, source, name, request) in repairs(teller) {
        teller.tell((PRODUCTION, region), time, &in_production, call(source, name, &request));
    }
    let time = teller.at(1, 10, 52, 5);
    let created = format!(
        r#"{{"accessKey":{{"userName":"{CI_USER}","accessKeyId":"{NEW_CI_KEY}","status":"Active","createDate":"{}"}}}}"#,
        iso_time(time)
    );
    let create = Record { response: &created, ..call("iam", "CreateAccessKey", &user) };
    teller.tell((MANAGEMENT, home), time, &in_management, create);
}

/// What is put back in production: when, in which region, and how.
fn repairs(teller: &Teller) -> [(i64, usize, &'static str, &'static str, String); 5] {
    let (home, main) = (teller.global_region(), teller.main_region());
    let revoke = format!(
        r#"{{"roleName":"{ACCESS_ROLE}","policyName":"AWSRevokeOlderSessions","policyDocument":"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Deny\",\"Action\":[\"*\"],\"Resource\":[\"*\"],\"Condition\":{{\"DateLessThan\":{{\"aws:TokenIssueTime\":\"{}\"}}}}}}]}}"}}"#,
        iso_time(teller.at(1, 10, 12, 0))
    );
    let trail = format!(r#"{{"name":"{ACCOUNT_TRAIL}"}}"#);
    let unshare = format!(
        r#"{{"snapshotId":"{SNAPSHOT}","createVolumePermission":{{"remove":{{"items":[{{"userId":"{FOREIGN_ACCOUNT}"}}]}}}},"attributeType":"CREATE_VOLUME_PERMISSION"}}"#
    );
    let trust = r#"{"roleName":"orders-support","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"ec2.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}"}"#;
    let detector = format!(r#"{{"enable":true,"clientToken":"{DETECTOR}"}}"#);
    [
        (teller.at(1, 10, 12, 9), home, "iam", "PutRolePolicy", revoke),
        (teller.at(1, 10, 22, 31), main, "cloudtrail", "StartLogging", trail),
        (teller.at(1, 10, 26, 2), main, "guardduty", "CreateDetector", detector),
        (teller.at(1, 10, 31, 44), main, "ec2", "ModifySnapshotAttribute", unshare),
        (teller.at(1, 10, 35, 17), home, "iam", "UpdateAssumeRolePolicy", trust.to_owned()),
    ]
}

/// The engineer on duty, in the console.
fn engineer(teller: &Teller, account: usize) -> Caller {
    let account = &teller.world.accounts[account];
    let since = teller.at(1, 9, 30, 0);
    let identity = account.staff_role.identity(&account.id, STAFF[2], since, "", "");
    Caller { identity, address: "198.51.100.10", agent: BROWSER, from_console: true }
}
