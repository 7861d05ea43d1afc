//! What the intruder does, in order.

use super::super::rare::{self, Insight};
use super::super::record::{Record, iso_time};
use super::super::world::{self, uuid};
use super::{
    ACCESS_ROLE, ACCOUNT_TRAIL, ADMIN_KEY, ADMIN_USER, CI_KEY, CI_USER, Caller, DETECTOR, FOREIGN_ACCOUNT,
    INTRUDER, INTRUDER_BROWSER, MANAGEMENT, PRODUCTION, SESSION_KEY, SESSION_NAME, SNAPSHOT, StoryEvent,
    Teller, call, ci_identity,
};
use crate::generate::{TRAIL, TRAIL_HOME_REGION};
use crate::object::Tree;

const CLI: &str = "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/linux#6.8.11-amd64 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#standard md/installer#source md/prompt#off";
const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0";
const ADMIN_POLICY: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// Files that the intruder reads, and those that are refused.
const FILES_TAKEN: i64 = 348;
const FILES_REFUSED: i64 = 9;

pub(super) fn act(teller: &mut Teller) {
    let ci = Caller {
        identity: ci_identity(teller.world, CI_KEY),
        address: INTRUDER,
        agent: CLI,
        from_console: false,
    };
    let admin = Caller { identity: admin_identity(teller), ..ci.clone() };
    find_key(teller, &ci);
    reconnoitre(teller, &ci);
    escalate(teller, &ci, &admin);
    sign_in(teller);
    let session = enter_production(teller, &admin);
    look_around(teller, &session);
    blind(teller, &session);
    take_objects(teller, &session);
    take_snapshot(teller, &session);
    clean_up(teller, &admin);
}

fn admin_identity(teller: &Teller) -> String {
    world::user(teller.account(MANAGEMENT), ADMIN_USER, "AIDAROSAADMINUSEREXAMPLE", ADMIN_KEY)
}

/// A robot that watches public repositories tries the key before the intruder does.
fn find_key(teller: &mut Teller, ci: &Caller) {
    let scanner = Caller { address: "198.51.100.201", agent: "TruffleHog", ..ci.clone() };
    let (place, time) = ((MANAGEMENT, teller.global_region()), teller.at(1, 0, 47, 9));
    teller.tell(
        place,
        time,
        &scanner,
        Record { version: "1.08", ..call("sts", "GetCallerIdentity", "null") },
    );
}

/// Finds out what the key may do. Little.
fn reconnoitre(teller: &mut Teller, ci: &Caller) {
    let home = (MANAGEMENT, teller.global_region());
    let mut time = teller.at(1, 1, 12, 31);
    let own = format!(r#"{{"userName":"{CI_USER}"}}"#);
    let allowed = [
        ("sts", "GetCallerIdentity", "null"),
        ("iam", "GetUser", "null"),
        ("s3", "ListBuckets", r#"{"Host":"s3.us-east-1.amazonaws.com"}"#),
        ("iam", "ListAttachedUserPolicies", own.as_str()),
        ("iam", "ListUserPolicies", own.as_str()),
        ("iam", "ListGroupsForUser", own.as_str()),
        ("iam", "ListUsers", "null"),
        ("iam", "ListAccessKeys", own.as_str()),
    ];
    for (source, name, request) in allowed {
        time += 11 + teller.rng.seconds(9);
        teller.tell(home, time, ci, call(source, name, request));
    }
    let refused = [
        ("iam", "GetAccountAuthorizationDetails"),
        ("iam", "ListRoles"),
        ("organizations", "DescribeOrganization"),
        ("organizations", "ListAccounts"),
        ("ses", "GetAccount"),
    ];
    for (source, name) in refused {
        time += 8 + teller.rng.seconds(7);
        tell_refused(teller, home, time, ci, call(source, name, "null"), "*");
    }
    let everywhere = [
        ("ec2", "DescribeInstances", r#"{"instancesSet":{},"filterSet":{}}"#),
        (
            "ec2",
            "DescribeSnapshots",
            r#"{"snapshotSet":{},"ownersSet":{"items":[{"owner":"self"}]},"filterSet":{}}"#,
        ),
        ("rds", "DescribeDBInstances", "null"),
        ("secretsmanager", "ListSecrets", "null"),
        ("lambda", "ListFunctions20150331", "null"),
        ("cloudtrail", "DescribeTrails", "null"),
        ("guardduty", "ListDetectors", "null"),
    ];
    for region in 0..teller.world.regions.len() {
        for (source, name, request) in everywhere {
            time += 6 + teller.rng.seconds(8);
            tell_refused(teller, (MANAGEMENT, region), time, ci, call(source, name, request), "*");
        }
    }
    let caller = format!("arn:aws:iam::{}:user/{CI_USER}", teller.account(MANAGEMENT));
    let about = Insight {
        kind: "ApiErrorRateInsight",
        source: "ec2",
        name: "DescribeInstances",
        error: "Client.UnauthorizedOperation",
        caller: &caller,
        agent: CLI,
    };
    let span = (teller.at(1, 1, 15, 0), teller.at(1, 1, 25, 0));
    teller.events.extend(rare::insight(teller.world, home, &about, span, &mut teller.rng));
}

/// Tries to become an administrator, and finds that the CI user may make keys for others.
fn escalate(teller: &mut Teller, ci: &Caller, admin: &Caller) {
    let home = (MANAGEMENT, teller.global_region());
    let account = teller.account(MANAGEMENT).to_owned();
    let user = |name: &str| format!("arn:aws:iam::{account}:user/{name}");
    let policy = |name: &str| format!(r#"{{"userName":"{name}","policyArn":"{ADMIN_POLICY}"}}"#);
    let named = |name: &str| format!(r#"{{"userName":"{name}"}}"#);
    let inline = format!(
        r#"{{"userName":"{CI_USER}","policyName":"ci-extra","policyDocument":"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}]}}"}}"#
    );

    let refused = [
        ((1, 41, 17), "AttachUserPolicy", policy(CI_USER), user(CI_USER)),
        ((1, 42, 3), "PutUserPolicy", inline, user(CI_USER)),
        ((1, 43, 48), "CreateUser", named("support-sync"), user("support-sync")),
        ((1, 45, 22), "CreateLoginProfile", named(ADMIN_USER), user(ADMIN_USER)),
    ];
    for ((hour, minute, second), name, request, resource) in refused {
        let time = teller.at(1, hour, minute, second);
        tell_refused(teller, home, time, ci, call("iam", name, &request), &resource);
    }
    teller.tell(home, teller.at(1, 1, 50, 5), ci, call("iam", "ListAccessKeys", &named(ADMIN_USER)));
    let time = teller.at(1, 1, 52, 41);
    let created = format!(
        r#"{{"accessKey":{{"userName":"{ADMIN_USER}","accessKeyId":"{ADMIN_KEY}","status":"Active","createDate":"{}"}}}}"#,
        iso_time(time)
    );
    let request = named(ADMIN_USER);
    teller.tell(home, time, ci, Record { response: &created, ..call("iam", "CreateAccessKey", &request) });

    teller.tell(home, teller.at(1, 1, 54, 2), admin, call("sts", "GetCallerIdentity", "null"));
    teller.tell(
        home,
        teller.at(1, 1, 54, 40),
        admin,
        call("iam", "ListAttachedUserPolicies", &named(ADMIN_USER)),
    );
    teller.tell(home, teller.at(1, 1, 57, 13), admin, call("organizations", "ListAccounts", "null"));
    teller.tell(home, teller.at(1, 2, 3, 26), admin, call("iam", "AttachUserPolicy", &policy(CI_USER)));
    let time = teller.at(1, 2, 6, 54);
    let created = format!(
        r#"{{"loginProfile":{{"userName":"{ADMIN_USER}","createDate":"{}","passwordResetRequired":false}}}}"#,
        iso_time(time)
    );
    let request = format!(r#"{{"userName":"{ADMIN_USER}","passwordResetRequired":false}}"#);
    teller.tell(
        home,
        time,
        admin,
        Record { response: &created, ..call("iam", "CreateLoginProfile", &request) },
    );
}

/// Signs in to the console as the administrator, at the second attempt and without a second factor.
fn sign_in(teller: &mut Teller) {
    let account = teller.account(MANAGEMENT);
    let identity = format!(
        r#"{{"type":"IAMUser","principalId":"AIDAROSAADMINUSEREXAMPLE","arn":"arn:aws:iam::{account}:user/{ADMIN_USER}","accountId":"{account}","userName":"{ADMIN_USER}"}}"#
    );
    let browser = Caller { identity, address: INTRUDER_BROWSER, agent: BROWSER, from_console: false };
    let login = Record {
        version: "1.08",
        additional: r#"{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"No"}"#,
        read_only: false,
        event_type: "AwsConsoleSignIn",
        tls_host: "signin.aws.amazon.com",
        ..Record::call("signin", "ConsoleLogin")
    };
    let place = (MANAGEMENT, teller.global_region());
    let failure = Record {
        error: Some(("AuthenticationFailed", "Failed authentication")),
        response: r#"{"ConsoleLogin":"Failure"}"#,
        ..login
    };
    teller.tell(place, teller.at(1, 2, 11, 19), &browser, failure);
    let success = Record { response: r#"{"ConsoleLogin":"Success"}"#, ..login };
    teller.tell(place, teller.at(1, 2, 12, 8), &browser, success);
}

/// Assumes the role that administrators have in every account of the organization.
fn enter_production(teller: &mut Teller, admin: &Caller) -> Caller {
    let time = teller.at(1, 2, 21, 37);
    let (management, production) =
        (teller.account(MANAGEMENT).to_owned(), teller.account(PRODUCTION).to_owned());
    let role = format!("arn:aws:iam::{production}:role/{ACCESS_ROLE}");
    let role_id = "AROAACCESSROLEXEXAMPLE";
    let request =
        format!(r#"{{"roleArn":"{role}","roleSessionName":"{SESSION_NAME}","durationSeconds":14400}}"#);
    let response = format!(
        r#"{{"credentials":{{"accessKeyId":"{SESSION_KEY}","sessionToken":"EXAMPLEtokenThatIsNone==","expiration":"{}"}},"assumedRoleUser":{{"assumedRoleId":"{role_id}:{SESSION_NAME}","arn":"arn:aws:sts::{production}:assumed-role/{ACCESS_ROLE}/{SESSION_NAME}"}}}}"#,
        iso_time(time + 14_400)
    );
    let resources = format!(r#"[{{"accountId":"{production}","type":"AWS::IAM::Role","ARN":"{role}"}}]"#);
    let shared = uuid(&mut teller.rng);
    let assume = Record {
        version: "1.08",
        response: &response,
        resources: &resources,
        shared_event_id: &shared,
        ..call("sts", "AssumeRole", &request)
    };
    let region = teller.global_region();
    teller.tell((MANAGEMENT, region), time, admin, assume);
    // Both accounts get the event; in the other one the caller is only an account.
    let from_outside = Caller {
        identity: format!(
            r#"{{"type":"AWSAccount","principalId":"AIDAROSAADMINUSEREXAMPLE","accountId":"{management}"}}"#
        ),
        ..admin.clone()
    };
    teller.tell((PRODUCTION, region), time, &from_outside, assume);
    let identity = format!(
        r#"{{"type":"AssumedRole","principalId":"{role_id}:{SESSION_NAME}","arn":"arn:aws:sts::{production}:assumed-role/{ACCESS_ROLE}/{SESSION_NAME}","accountId":"{production}","accessKeyId":"{SESSION_KEY}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{role_id}","arn":"{role}","accountId":"{production}","userName":"{ACCESS_ROLE}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"{}","mfaAuthenticated":"false"}}}}}}"#,
        iso_time(time)
    );
    Caller { identity, ..admin.clone() }
}

fn look_around(teller: &mut Teller, session: &Caller) {
    let (global, main) = ((PRODUCTION, teller.global_region()), (PRODUCTION, teller.main_region()));
    let mut time = teller.at(1, 2, 24, 3);
    teller.tell(global, time, session, call("sts", "GetCallerIdentity", "null"));
    teller.tell(
        global,
        time + 21,
        session,
        call("s3", "ListBuckets", r#"{"Host":"s3.us-east-1.amazonaws.com"}"#),
    );
    for region in 0..teller.world.regions.len() {
        time += 47;
        let request = r#"{"instancesSet":{},"filterSet":{}}"#;
        teller.tell((PRODUCTION, region), time, session, call("ec2", "DescribeInstances", request));
        let request = r#"{"volumeSet":{},"filterSet":{}}"#;
        teller.tell((PRODUCTION, region), time + 13, session, call("ec2", "DescribeVolumes", request));
    }
    let bucket = format!(
        r#"{{"bucketName":"{CUSTOMER_BUCKET}","Host":"{CUSTOMER_BUCKET}.s3.amazonaws.com","policy":""}}"#
    );
    teller.tell(main, teller.at(1, 2, 31, 12), session, call("s3", "GetBucketPolicy", &bucket));
    teller.tell(main, teller.at(1, 2, 33, 40), session, call("cloudtrail", "DescribeTrails", "null"));
    let trail = format!(r#"{{"name":"{ACCOUNT_TRAIL}"}}"#);
    teller.tell(main, teller.at(1, 2, 34, 2), session, call("cloudtrail", "GetTrailStatus", &trail));
    teller.tell(main, teller.at(1, 2, 36, 55), session, call("guardduty", "ListDetectors", "null"));
    // A way back in: the foreign account may assume a role that nobody looks at.
    let request = format!(
        r#"{{"roleName":"orders-support","policyDocument":"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"arn:aws:iam::{FOREIGN_ACCOUNT}:root\"}},\"Action\":\"sts:AssumeRole\"}}]}}"}}"#
    );
    teller.tell(global, teller.at(1, 2, 40, 18), session, call("iam", "UpdateAssumeRolePolicy", &request));
}

/// Stops what watches. The organization trail is out of reach, which is why all this is on record.
fn blind(teller: &mut Teller, session: &Caller) {
    let main = (PRODUCTION, teller.main_region());
    let home = (PRODUCTION, teller.global_region());
    let own_trail = format!(
        r#"{{"name":"arn:aws:cloudtrail:{}:{}:trail/{ACCOUNT_TRAIL}"}}"#,
        teller.main_region_name(),
        teller.account(PRODUCTION)
    );
    teller.tell(main, teller.at(1, 2, 44, 30), session, call("cloudtrail", "StopLogging", &own_trail));
    let trail =
        format!("arn:aws:cloudtrail:{TRAIL_HOME_REGION}:{}:trail/{TRAIL}", teller.account(MANAGEMENT));
    let request = format!(r#"{{"name":"{trail}"}}"#);
    for (second, name) in [(4, "StopLogging"), (39, "DeleteTrail")] {
        let time = teller.at(1, 2, 45, second);
        tell_refused(teller, home, time, session, call("cloudtrail", name, &request), &trail);
    }
    let request = format!(r#"{{"detectorId":"{DETECTOR}"}}"#);
    teller.tell(main, teller.at(1, 2, 47, 51), session, call("guardduty", "DeleteDetector", &request));
}

const CUSTOMER_BUCKET: &str = "example-books-customer-data";

/// Reads the customer data, file by file.
fn take_objects(teller: &mut Teller, session: &Caller) {
    let main = (PRODUCTION, teller.main_region());
    let host = format!("{CUSTOMER_BUCKET}.s3.{}.amazonaws.com", teller.main_region_name());
    let bucket = format!(
        r#"{{"accountId":"{}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{CUSTOMER_BUCKET}"}}"#,
        teller.account(PRODUCTION)
    );
    let mut time = teller.at(1, 2, 51, 6);
    let request = format!(
        r#"{{"list-type":"2","bucketName":"{CUSTOMER_BUCKET}","prefix":"exports/","encoding-type":"url","Host":"{host}"}}"#
    );
    let resources = format!(
        r#"[{{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::{CUSTOMER_BUCKET}/exports/"}},{bucket}]"#
    );
    let list = Record { category: "Data", resources: &resources, ..call("s3", "ListObjects", &request) };
    teller.tell(main, time, session, Record { tls_host: &host, ..list });
    for file in 0..FILES_TAKEN + FILES_REFUSED {
        time += 4 + teller.rng.seconds(5);
        let refused = file >= FILES_TAKEN;
        let key = if refused {
            format!("restricted/card-tokens/part-{:04}.parquet", file - FILES_TAKEN)
        } else {
            format!("exports/2026-02/customers-{file:04}.csv.gz")
        };
        let size = if refused { 243 } else { 4_000_000 + teller.rng.below(4_500_000) };
        let request = format!(r#"{{"bucketName":"{CUSTOMER_BUCKET}","Host":"{host}","key":"{key}"}}"#);
        let resources = format!(
            r#"[{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::{CUSTOMER_BUCKET}/{key}"}},{bucket}]"#
        );
        let additional = format!(
            r#"{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"SSEApplied":"SSE_S3","AuthenticationMethod":"AuthHeader","bytesTransferredOut":{size}}}"#
        );
        let record = Record {
            error: refused.then_some(("AccessDenied", "Access Denied")),
            category: "Data",
            resources: &resources,
            additional: &additional,
            tls_host: &host,
            ..call("s3", "GetObject", &request)
        };
        teller.tell(main, time, session, record);
    }
}

/// Copies the database's volume out of the organization.
fn take_snapshot(teller: &mut Teller, session: &Caller) {
    let main = (PRODUCTION, teller.main_region());
    let volume = "vol-0da7aba5e0000example";
    let request = format!(r#"{{"volumeId":"{volume}","description":"maintenance"}}"#);
    let time = teller.at(1, 3, 38, 14);
    let response = format!(
        r#"{{"requestId":"{}","snapshotId":"{SNAPSHOT}","volumeId":"{volume}","status":"pending","startTime":{}000,"ownerId":"{}","volumeSize":"200","encrypted":false,"description":"maintenance"}}"#,
        uuid(&mut teller.rng),
        time,
        teller.account(PRODUCTION)
    );
    teller.tell(
        main,
        time,
        session,
        Record { response: &response, ..call("ec2", "CreateSnapshot", &request) },
    );
    let request = format!(
        r#"{{"snapshotId":"{SNAPSHOT}","createVolumePermission":{{"add":{{"items":[{{"userId":"{FOREIGN_ACCOUNT}"}}]}}}},"attributeType":"CREATE_VOLUME_PERMISSION"}}"#
    );
    let response = format!(r#"{{"requestId":"{}","_return":true}}"#, uuid(&mut teller.rng));
    let share = Record { response: &response, ..call("ec2", "ModifySnapshotAttribute", &request) };
    teller.tell(main, teller.at(1, 3, 41, 52), session, share);
    copy_shared_snapshot(teller, main);
}

/// EC2 itself tells the owner that somebody elsewhere copies the snapshot.
fn copy_shared_snapshot(teller: &mut Teller, place: (usize, usize)) {
    let time = teller.at(1, 3, 49, 33);
    let text = format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"accountId":"{FOREIGN_ACCOUNT}","invokedBy":"ec2.amazonaws.com"}},"eventTime":"{}","eventSource":"ec2.amazonaws.com","eventName":"SharedSnapshotCopyInitiated","awsRegion":"{}","sourceIPAddress":"ec2.amazonaws.com","userAgent":"ec2.amazonaws.com","requestParameters":null,"responseElements":null,"eventID":"{}","readOnly":false,"eventType":"AwsServiceEvent","managementEvent":true,"recipientAccountId":"{}","serviceEventDetails":{{"snapshotId":"{SNAPSHOT}"}},"eventCategory":"Management"}}"#,
        iso_time(time),
        teller.world.regions[place.1],
        uuid(&mut teller.rng),
        teller.account(place.0),
    );
    teller.events.push(StoryEvent { place, tree: Tree::CloudTrail, time, text, delay: 0 });
}

/// Removes the key and the password, and leaves the policy on the CI user behind.
fn clean_up(teller: &mut Teller, admin: &Caller) {
    let home = (MANAGEMENT, teller.global_region());
    let login = format!(r#"{{"userName":"{ADMIN_USER}"}}"#);
    teller.tell(home, teller.at(1, 4, 4, 27), admin, call("iam", "DeleteLoginProfile", &login));
    let request = format!(r#"{{"userName":"{ADMIN_USER}","accessKeyId":"{ADMIN_KEY}"}}"#);
    teller.tell(home, teller.at(1, 4, 5, 10), admin, call("iam", "DeleteAccessKey", &request));
}

/// Writes a call that is refused. EC2 has words of its own for it; against the organization trail a
/// service control policy decides.
#[expect(clippy::large_types_passed_by_value, reason = "callers build it in place")]
fn tell_refused(
    teller: &mut Teller,
    place: (usize, usize),
    time: i64,
    caller: &Caller,
    record: Record,
    resource: &str,
) {
    let name = record.name.trim_end_matches("20150331");
    let action = format!("{}:{name}", record.source);
    let arn = arn_of(&caller.identity);
    let (code, message) = match record.source {
        "ec2" => (
            "Client.UnauthorizedOperation",
            format!(
                "You are not authorized to perform this operation. User: {arn} is not authorized to perform: {action} because no identity-based policy allows the {action} action"
            ),
        ),
        "cloudtrail" if place.0 == PRODUCTION => (
            "AccessDenied",
            format!(
                "User: {arn} is not authorized to perform: {action} on resource: {resource} with an explicit deny in a service control policy"
            ),
        ),
        _ => (
            "AccessDenied",
            format!(
                "User: {arn} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} action"
            ),
        ),
    };
    teller.tell(place, time, caller, Record { error: Some((code, &message)), ..record });
}

fn arn_of(identity: &str) -> &str {
    let start = identity.split_once(r#""arn":""#).map_or("", |(_, rest)| rest);
    start.split('"').next().unwrap_or_default()
}
