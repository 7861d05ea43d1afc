//! What applications do: on instances, in functions, from outside.

use super::super::record::{Record, iso_time};
use super::super::rng::Rng;
use super::super::world;
use super::{AGENT, BOTO, DESCRIBE, GO, JAVA, Scene, s3_additional, s3_resources};

pub(super) fn describe_by_app(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn kms_decrypt_by_app(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn ssm_by_instance(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn log_stream_by_function(scene: Scene, rng: &mut Rng, out: &mut String) {
    let (identity, host) = (scene.function(), scene.host("logs"));
    let mut stream = String::with_capacity(32);
    rng.push_hex(&mut stream, 32);
    let day = iso_time(scene.time)[..10].replace('-', "/");
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

pub(super) fn secret_by_app(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn metrics_by_user(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn throttled(scene: Scene, rng: &mut Rng, out: &mut String) {
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
        error: Some((code, "Rate exceeded")),
        request,
        tls_host: &host,
        ..scene.call(source, name)
    };
    record.write(out, rng);
}

/// An S3 data event of the application.
pub(super) fn s3_object(
    scene: Scene,
    rng: &mut Rng,
    out: &mut String,
    name: &str,
    error: Option<(&str, &str)>,
) {
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

pub(super) fn get_object(scene: Scene, rng: &mut Rng, out: &mut String) {
    s3_object(scene, rng, out, "GetObject", None);
}

pub(super) fn put_object(scene: Scene, rng: &mut Rng, out: &mut String) {
    s3_object(scene, rng, out, "PutObject", None);
}

pub(super) fn missing_object(scene: Scene, rng: &mut Rng, out: &mut String) {
    let error = if rng.one_in(4) {
        ("AccessDenied", "Access Denied")
    } else {
        ("NoSuchKey", "The specified key does not exist.")
    };
    s3_object(scene, rng, out, "GetObject", Some(error));
}

pub(super) fn invoke_function(scene: Scene, rng: &mut Rng, out: &mut String) {
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
