//! The named questions of `queries/`, embedded in the binary.
//!
//! Each is plain SQL after a header of comments: `-- title:`, `-- question:`, and for each value that
//! it asks for `-- parameter: name default description`, where the default `-` means that there is none.

use anyhow::{Context, Result, bail};

use super::nearest::nearest;

/// A question that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuery {
    /// What it is asked by: the name of its file.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it answers.
    pub question: &'static str,
    /// The values that it asks for.
    pub parameters: Vec<Parameter>,
    /// The whole file.
    pub sql: &'static str,
}

/// A value that a query asks for, bound to `$name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// The value if none is given.
    pub default: Option<&'static str>,
    /// What it is.
    pub description: &'static str,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../queries/", $name, ".sql")))),*]
    };
}

/// The files, in the order in which an incident responder may ask.
static FILES: &[(&str, &str)] = files![
    "who-used-access-key",
    "activity-of-address",
    "access-denied-by-principal",
    "iam-changes",
    "trail-tampering",
    "s3-data-access-by-bucket",
    "root-activity",
    "console-logins-without-mfa",
    "failed-console-logins",
    "security-group-openings",
];

/// All of them.
pub fn all() -> Vec<NamedQuery> {
    FILES.iter().map(|(name, sql)| NamedQuery::parse(name, sql)).collect()
}

/// The one called `name`.
pub fn find(name: &str) -> Result<NamedQuery> {
    if let Some((name, sql)) = FILES.iter().find(|(known, _)| *known == name) {
        return Ok(NamedQuery::parse(name, sql));
    }
    let near = nearest(name, FILES.iter().map(|(known, _)| *known));
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    bail!("no query '{name}'{hint} (`trailq query list` shows all)")
}

impl NamedQuery {
    fn parse(name: &'static str, sql: &'static str) -> Self {
        let mut query = Self { name, title: name, question: "", parameters: Vec::new(), sql };
        for line in sql.lines().map_while(|line| line.strip_prefix("--")) {
            match line.trim().split_once(": ") {
                Some(("title", title)) => query.title = title.trim(),
                Some(("question", question)) => query.question = question.trim(),
                Some(("parameter", parameter)) => query.parameters.extend(Parameter::parse(parameter)),
                _ => {}
            }
        }
        query
    }

    /// The value of every parameter: those `given` as `name=value`, and the defaults of the others.
    pub fn bind(&self, given: &[String]) -> Result<Vec<(String, String)>> {
        let mut values = Vec::new();
        for text in given {
            let (name, value) =
                text.split_once('=').with_context(|| format!("'{text}' is not NAME=VALUE"))?;
            if !self.parameters.iter().any(|parameter| parameter.name == name) {
                bail!("query {} has no parameter '{name}'{}", self.name, self.usage());
            }
            values.retain(|(known, _): &(String, String)| known != name);
            values.push((name.to_owned(), value.to_owned()));
        }
        for parameter in &self.parameters {
            if values.iter().any(|(name, _)| name == parameter.name) {
                continue;
            }
            let Some(default) = parameter.default else {
                bail!("query {} needs a value for '{}'{}", self.name, parameter.name, self.usage());
            };
            values.push((parameter.name.to_owned(), default.to_owned()));
        }
        Ok(values)
    }

    fn usage(&self) -> String {
        let each = self.parameters.iter().map(|p| format!("\n  -p {}=…   {}", p.name, p.description));
        each.collect()
    }
}

impl Parameter {
    fn parse(text: &'static str) -> Option<Self> {
        let (name, rest) = text.trim().split_once(' ')?;
        let (default, description) = rest.trim().split_once(' ')?;
        let default = (default != "-").then_some(default);
        Some(Self { name, default, description: description.trim() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::sql::Script;
    use crate::sql::testing::session;

    #[test]
    fn every_file_of_the_folder_is_embedded_and_described() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/queries");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let embedded: BTreeSet<String> = all().iter().map(|query| format!("{}.sql", query.name)).collect();
        assert_eq!(files, embedded);
        for query in all() {
            assert!(query.title != query.name && query.question.ends_with('?'), "{}", query.name);
            assert_eq!(Script::parse(query.sql).unwrap().statements().len(), 1, "{}", query.name);
            let placeholders = query.sql.matches("= $").count();
            assert_eq!(placeholders, query.parameters.len(), "{}", query.name);
        }
    }

    #[test]
    fn parameters_are_checked_by_name() {
        let query = find("who-used-access-key").unwrap();
        let bind = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
            query.bind(&given).map_err(|error| error.to_string())
        };
        let value = ("access_key_id".to_owned(), "A=B".to_owned());
        assert_eq!(bind(&["access_key_id=A=B"]), Ok(vec![value]));
        assert!(bind(&[]).unwrap_err().contains("needs a value for 'access_key_id'\n  -p access_key_id=…"));
        assert!(bind(&["key=A"]).unwrap_err().contains("has no parameter 'key'"));
        assert!(bind(&["access_key_id"]).unwrap_err().contains("is not NAME=VALUE"));
        let error = find("who-used-acess-key").unwrap_err().to_string();
        assert!(error.contains("did you mean who-used-access-key?"), "{error}");
    }

    #[test]
    fn a_default_may_be_given_in_the_header() {
        let query = NamedQuery::parse(
            "x",
            "-- title: X\n-- parameter: hours 24 How far back\n\n-- title: Y\nSELECT 1",
        );
        assert_eq!(query.title, "X");
        assert_eq!(query.bind(&[]).unwrap(), [("hours".to_owned(), "24".to_owned())]);
    }

    /// Runs a query over `rows`; each row that is expected is known by a word that its line has.
    async fn check(name: &str, given: &[&str], rows: &[Value], found: &[&str], not_found: &[&str]) {
        let query = find(name).unwrap();
        let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
        let batches = match session(rows).collect(query.sql, &query.bind(&given).unwrap()).await {
            Ok(batches) => batches,
            Err(error) => panic!("{name}: {error}"),
        };
        let text = crate::output::to_csv(&batches);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), found.len(), "{name}:\n{text}");
        for (line, word) in lines.iter().zip(found) {
            assert!(line.contains(word), "{name}: {word} not in {line}\n{text}");
        }
        for word in not_found {
            assert!(!text.contains(word), "{name}: {word} in\n{text}");
        }
    }

    fn login(arn: &str, kind: &str, outcome: &str, mfa: &str) -> Value {
        json!({
            "eventsource": "signin.amazonaws.com", "eventname": "ConsoleLogin", "eventtime": "2026-01-05T00:00:00Z",
            "sourceipaddress": "192.0.2.1", "eventtype": "AwsConsoleSignIn",
            "useridentity": {"type": kind, "arn": arn, "username": arn},
            "responseelements": format!("{{\"ConsoleLogin\":\"{outcome}\"}}"),
            "additionaleventdata": format!("{{\"MFAUsed\":\"{mfa}\"}}"),
        })
    }

    #[tokio::test]
    async fn console_logins() {
        let rows = [
            login("good", "IAMUser", "Success", "Yes"),
            login("lazy", "IAMUser", "Success", "No"),
            login("federated", "AssumedRole", "Success", "No"),
            login("guessed", "IAMUser", "Failure", "No"),
            login("guessed", "IAMUser", "Failure", "No"),
        ];
        let others = ["good", "federated", "guessed"];
        check("console-logins-without-mfa", &[], &rows, &["lazy"], &others).await;
        check("failed-console-logins", &[], &rows, &["guessed,192.0.2.1,,2,"], &["good", "lazy"]).await;
    }

    #[tokio::test]
    async fn root_activity() {
        let root = |name: &str, extra: Value| {
            let mut row =
                json!({"eventname": name, "eventtype": "AwsApiCall", "useridentity": {"type": "Root"}});
            row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            row
        };
        let rows = [
            root("CreateAccessKey", json!({})),
            root("ByService", json!({"useridentity": {"type": "Root", "invokedby": "x.amazonaws.com"}})),
            root("ServiceEvent", json!({"eventtype": "AwsServiceEvent"})),
            root("ByUser", json!({"useridentity": {"type": "IAMUser"}})),
        ];
        check("root-activity", &[], &rows, &["CreateAccessKey"], &["ByService", "ServiceEvent", "ByUser"])
            .await;
    }

    #[tokio::test]
    async fn access_denied() {
        let call = |name: &str, error: Option<&str>| {
            json!({"eventname": name, "errorcode": error, "sourceipaddress": "192.0.2.1", "useridentity":
                {"arn": "session", "sessioncontext": {"sessionissuer": {"arn": "role/x"}}}})
        };
        let rows = [
            call("ListUsers", Some("AccessDenied")),
            call("RunInstances", Some("Client.UnauthorizedOperation")),
            call("ListSecrets", Some("AccessDeniedException")),
            call("Throttled", Some("ThrottlingException")),
            call("Allowed", None),
        ];
        let found = ["role/x,192.0.2.1,3,3,,,\"[ListSecrets, ListUsers, RunInstances]\""];
        check("access-denied-by-principal", &[], &rows, &found, &["Throttled", "Allowed"]).await;
    }

    #[tokio::test]
    async fn keys_and_addresses() {
        let call = |key: &str, address: &str, name: &str, time: &str| {
            json!({"eventname": name, "eventtime": time, "sourceipaddress": address,
                "useridentity": {"arn": "user/a", "accesskeyid": key}})
        };
        let rows = [
            call("AKIA1", "192.0.2.1", "Early", "1"),
            call("AKIA1", "198.51.100.9", "Late", "2"),
            call("AKIA1", "198.51.100.9", "Later", "3"),
            call("AKIA2", "198.51.100.9", "OtherKey", "4"),
            call("AKIA2", "203.0.113.5", "Elsewhere", "5"),
        ];
        let found = ["192.0.2.1,,user/a,1,0,1,1,[Early]", "198.51.100.9,,user/a,2,0,2,3,\"[Late, Later]\""];
        check("who-used-access-key", &["access_key_id=AKIA1"], &rows, &found, &["OtherKey"]).await;
        let found = ["Late", "Later", "AKIA2"];
        check("activity-of-address", &["address=198.51.100.9"], &rows, &found, &["Early", "Elsewhere"]).await;
        check("activity-of-address", &["address=x' OR 'a'='a"], &rows, &[], &[]).await;
    }

    #[tokio::test]
    async fn changes_to_iam_and_to_the_trail() {
        let call = |source: &str, name: &str, request: &str, time: &str| {
            json!({"eventsource": source, "eventname": name, "eventtime": time, "requestparameters": request,
                "useridentity": {"type": "IAMUser", "arn": "user/mallory"}})
        };
        let rows = [
            call(
                "iam.amazonaws.com",
                "AttachUserPolicy",
                r#"{"userName":"mallory","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#,
                "1",
            ),
            call("iam.amazonaws.com", "ListUsers", "{}", "2"),
            call("cloudtrail.amazonaws.com", "StopLogging", r#"{"name":"org-trail"}"#, "3"),
            call("cloudtrail.amazonaws.com", "DescribeTrails", "{}", "4"),
            call("guardduty.amazonaws.com", "DeleteDetector", r#"{"detectorId":"d1"}"#, "5"),
            call("example.amazonaws.com", "StopLogging", r#"{"name":"other"}"#, "6"),
        ];
        let found = ["AttachUserPolicy,mallory,arn:aws:iam::aws:policy/AdministratorAccess,"];
        check("iam-changes", &[], &rows, &found, &["ListUsers", "StopLogging"]).await;
        let found = ["StopLogging,org-trail,", "DeleteDetector,d1,"];
        check("trail-tampering", &[], &rows, &found, &["DescribeTrails", "other", "ListUsers"]).await;
    }

    #[tokio::test]
    async fn objects_and_openings() {
        let object = |name: &str, bucket: &str, bytes: &str| {
            json!({"eventsource": "s3.amazonaws.com", "eventname": name, "useridentity": {"arn": "user/m"},
                "requestparameters": format!("{{\"bucketName\":\"{bucket}\",\"key\":\"k\"}}"),
                "additionaleventdata": format!("{{\"bytesTransferredOut\":{bytes}}}")})
        };
        let opening = |cidr: &str| {
            json!({"eventsource": "ec2.amazonaws.com", "eventname": "AuthorizeSecurityGroupIngress",
                "requestparameters": format!(r#"{{"groupId":"sg-1","ipPermissions":{{"items":[{{"ipProtocol":"tcp",
                    "fromPort":22,"toPort":22,"ipRanges":{{"items":[{{"cidrIp":"{cidr}"}}]}}}}]}}}}"#)})
        };
        let rows = [
            object("GetObject", "secrets", "100.0"),
            object("GetObject", "secrets", "50"),
            object("GetObject", "logs", "\"odd\""),
            object("GetBucketAcl", "policies", "1"),
            opening("0.0.0.0/0"),
            opening("10.0.0.0/8"),
        ];
        let found = ["secrets,user/m,,GetObject,2,0,150.0,,", "logs,user/m,,GetObject,1,0,,,"];
        check("s3-data-access-by-bucket", &[], &rows, &found, &["policies"]).await;
        check("security-group-openings", &[], &rows, &["sg-1,tcp,22,22,"], &["10.0.0.0"]).await;
    }

    /// Every word of the queries with its second letter left out: what people will really type.
    #[tokio::test]
    async fn no_misspelling_shows_the_planners_internals() {
        let session = session(&[json!({"eventname": "x"})]);
        for query in all().iter().filter(|query| query.parameters.is_empty()) {
            let body = &query.sql[query.sql.find("SELECT").unwrap()..];
            for (at, _) in body.match_indices(|c: char| !c.is_alphanumeric()) {
                let mut wrong = body.to_owned();
                let Some(second) = wrong.get(at + 2..at + 3).filter(|c| c.is_ascii()) else { continue };
                if !second.chars().all(char::is_alphanumeric) {
                    continue;
                }
                wrong.remove(at + 2);
                let Err(error) = session.collect(&wrong, &[]).await else { continue };
                let error = error.to_string();
                for internal in
                    ["SchemaError", "FieldNotFound", "Internal error", "DataType", "Utf8", "Column {"]
                {
                    assert!(!error.contains(internal), "{wrong}\n{error}");
                }
                assert!(error.contains("(line "), "no place:\n{error}\n{wrong}");
            }
        }
    }
}
