//! What people do, and the pipelines that they set off.

use super::super::record::{Record, iso_time, push};
use super::super::rng::Rng;
use super::super::world::{self, STAFF, STAFF_ADDRESSES};
use super::{BROWSER, CLI, DESCRIBE, Scene};

pub(super) fn describe_by_staff(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn cloudtrail_by_staff(scene: Scene, rng: &mut Rng, out: &mut String) {
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

/// The few who still have an IAM user sign in with a second factor, and mistype now and then.
pub(super) fn console_login(scene: Scene, rng: &mut Rng, out: &mut String) {
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

pub(super) fn identity_center_login(scene: Scene, rng: &mut Rng, out: &mut String) {
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
    push(out, &[&text[..at], ",\"serviceEventDetails\":", details, &text[at..]]);
}

pub(super) fn web_identity(scene: Scene, rng: &mut Rng, out: &mut String) {
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
pub(super) fn root_looks(scene: Scene, rng: &mut Rng, out: &mut String) {
    let identity = format!(
        r#"{{"type":"Root","principalId":"{0}","arn":"arn:aws:iam::{0}:root","accountId":"{0}","accessKeyId":"ASIAROOTSESS7EXAMPLE","sessionContext":{{"attributes":{{"creationDate":"{1}","mfaAuthenticated":"true"}}}}}}"#,
        scene.account.id,
        iso_time(scene.session_start(3001))
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
