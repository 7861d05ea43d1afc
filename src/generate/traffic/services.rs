//! What AWS services do of their own accord, which is half of all events.

use super::super::record::{Record, iso_time};
use super::super::rng::Rng;
use super::super::world::{self, World};
use super::super::{GLOBAL_REGION, TRAIL};
use super::{DESCRIBE, Scene, s3_additional, s3_resources};

pub(super) fn service_assumes_role(scene: Scene, rng: &mut Rng, out: &mut String) {
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
        iso_time(scene.time + 3600),
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

pub(super) fn describe_by_config(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (name, request) = DESCRIBE[rng.index(DESCRIBE.len())];
    let role = &scene.account.config_role;
    let since = scene.session_start(2203);
    let identity = role.identity(&scene.account.id, "AWSConfig-Describe", since, "config", "");
    let (address, agent) = ("config.amazonaws.com", "config.amazonaws.com");
    Record { version: "1.10", identity: &identity, address, agent, request, ..scene.call("ec2", name) }
        .write(out, rng);
}

pub(super) fn kms_data_key_by_cloudtrail(scene: Scene, rng: &mut Rng, out: &mut String) {
    let resources = scene.kms_resource();
    let request = format!(
        r#"{{"keySpec":"AES_256","encryptionContext":{{"aws:cloudtrail:arn":"arn:aws:cloudtrail:{}:{}:trail/{}"}},"keyId":"{}"}}"#,
        GLOBAL_REGION, scene.world.accounts[0].id, TRAIL, scene.account.key_id
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

pub(super) fn put_evaluations(scene: Scene, rng: &mut Rng, out: &mut String) {
    let role = &scene.account.config_role;
    let since = scene.session_start(2203);
    let identity = role.identity(&scene.account.id, "AWSConfig-Rules", since, "config", "");
    let bucket = rng.below(40);
    let request = format!(
        r#"{{"evaluations":[{{"complianceResourceType":"AWS::S3::Bucket","complianceResourceId":"{}-assets-{bucket}","complianceType":"COMPLIANT","orderingTimestamp":"{}"}}],"testMode":false}}"#,
        scene.account.app,
        iso_time(scene.time)
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

pub(super) fn targets_by_load_balancer(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn bucket_acl_by_cloudtrail(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn put_log_by_cloudtrail(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn iam_by_config(scene: Scene, rng: &mut Rng, out: &mut String) {
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
