//! One CloudTrail record as text, its fields in CloudTrail's order.
//!
//! Records are formatted straight into the file's buffer, since a tree of JSON values for each would make
//! a million of them a matter of minutes.

use super::rng::Rng;
use chrono::{DateTime, Datelike as _, Timelike as _};

/// What a record says. Strings in the JSON fields are JSON already; empty ones leave the field out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// `1.08` to `1.11`.
    pub(super) version: &'a str,
    /// JSON of `userIdentity`.
    pub(super) identity: &'a str,
    /// Seconds since 1970.
    pub(super) time: i64,
    /// Service without `.amazonaws.com`.
    pub(super) source: &'a str,
    pub(super) name: &'a str,
    pub(super) region: &'a str,
    pub(super) address: &'a str,
    pub(super) agent: &'a str,
    /// `errorCode` and `errorMessage`.
    pub(super) error: Option<(&'a str, &'a str)>,
    /// JSON of `requestParameters`.
    pub(super) request: &'a str,
    /// JSON of `responseElements`.
    pub(super) response: &'a str,
    /// JSON of `additionalEventData`, or nothing.
    pub(super) additional: &'a str,
    pub(super) read_only: bool,
    /// JSON of `resources`, or nothing.
    pub(super) resources: &'a str,
    /// `AwsApiCall` for most.
    pub(super) event_type: &'a str,
    /// `Management` for most.
    pub(super) category: &'a str,
    /// `recipientAccountId`.
    pub(super) account: &'a str,
    /// `sharedEventID`, or nothing.
    pub(super) shared_event_id: &'a str,
    /// `vpcEndpointId`, or nothing.
    pub(super) vpc_endpoint: &'a str,
    /// `clientProvidedHostHeader`, or nothing for a call without `tlsDetails`.
    pub(super) tls_host: &'a str,
    /// Whether `sessionCredentialFromConsole` is set.
    pub(super) from_console: bool,
}

impl<'a> Record<'a> {
    /// A successful API call; what differs is set by struct update.
    pub(super) const fn call(source: &'a str, name: &'a str) -> Self {
        Self {
            version: "1.11",
            identity: "null",
            time: 0,
            source,
            name,
            region: "us-east-1",
            address: "",
            agent: "",
            error: None,
            request: "null",
            response: "null",
            additional: "",
            read_only: true,
            resources: "",
            event_type: "AwsApiCall",
            category: "Management",
            account: "",
            shared_event_id: "",
            vpc_endpoint: "",
            tls_host: "",
            from_console: false,
        }
    }

    /// Appends the record; `eventID` and `requestID` are drawn.
    pub(super) fn write(&self, out: &mut String, rng: &mut Rng) {
        push(out, &["{\"eventVersion\":\"", self.version, "\",\"userIdentity\":", self.identity]);
        out.push_str(",\"eventTime\":\"");
        push_time(out, self.time);
        push(out, &["\",\"eventSource\":\"", self.source, ".amazonaws.com\",\"eventName\":\"", self.name]);
        push(out, &["\",\"awsRegion\":\"", self.region, "\",\"sourceIPAddress\":\"", self.address]);
        push(out, &["\",\"userAgent\":\"", self.agent, "\""]);
        if let Some((code, message)) = self.error {
            push(out, &[",\"errorCode\":\"", code, "\",\"errorMessage\":\"", message, "\""]);
        }
        push(out, &[",\"requestParameters\":", self.request, ",\"responseElements\":", self.response]);
        push_if(out, ",\"additionalEventData\":", self.additional, "");
        self.write_ids(out, rng);
        out.push_str(if self.read_only { ",\"readOnly\":true" } else { ",\"readOnly\":false" });
        push_if(out, ",\"resources\":", self.resources, "");
        let management = if self.category == "Management" { "true" } else { "false" };
        push(out, &[",\"eventType\":\"", self.event_type, "\",\"managementEvent\":", management]);
        push(out, &[",\"recipientAccountId\":\"", self.account, "\""]);
        push_if(out, ",\"sharedEventID\":\"", self.shared_event_id, "\"");
        push_if(out, ",\"vpcEndpointId\":\"", self.vpc_endpoint, "\"");
        if !self.vpc_endpoint.is_empty() && self.version > "1.08" {
            push(out, &[",\"vpcEndpointAccountId\":\"", self.account, "\""]);
        }
        push(out, &[",\"eventCategory\":\"", self.category, "\""]);
        self.write_tls(out);
        if self.from_console {
            out.push_str(",\"sessionCredentialFromConsole\":\"true\"");
        }
        out.push('}');
    }

    fn write_ids(&self, out: &mut String, rng: &mut Rng) {
        // A sign-in is no API request, so it has no id of one.
        if self.event_type == "AwsApiCall" || self.event_type == "AwsVpceEvent" {
            out.push_str(",\"requestID\":\"");
            if self.source == "s3" {
                rng.push_base32(out, 16);
            } else {
                rng.push_uuid(out);
            }
            out.push('"');
        }
        out.push_str(",\"eventID\":\"");
        rng.push_uuid(out);
        out.push('"');
    }

    fn write_tls(&self, out: &mut String) {
        if self.tls_host.is_empty() {
            return;
        }
        // Older SDKs and the older event versions go together well enough.
        let (version, suite) = if self.version == "1.08" {
            ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
        } else {
            ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        };
        push(out, &[",\"tlsDetails\":{\"tlsVersion\":\"", version, "\",\"cipherSuite\":\"", suite]);
        push(out, &["\",\"clientProvidedHostHeader\":\"", self.tls_host, "\"}"]);
    }
}

/// Appends several pieces.
pub(super) fn push(out: &mut String, pieces: &[&str]) {
    for piece in pieces {
        out.push_str(piece);
    }
}

fn push_if(out: &mut String, before: &str, text: &str, after: &str) {
    if !text.is_empty() {
        push(out, &[before, text, after]);
    }
}

/// Appends seconds since 1970 as `2026-03-02T08:15:00Z`. chrono's own formatting costs as much as the
/// rest of a record.
pub(super) fn push_time(out: &mut String, seconds: i64) {
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
    push_number(out, time.year().unsigned_abs(), 4);
    for (before, number) in [('-', time.month()), ('-', time.day()), ('T', time.hour())] {
        out.push(before);
        push_number(out, number, 2);
    }
    for number in [time.minute(), time.second()] {
        out.push(':');
        push_number(out, number, 2);
    }
    out.push('Z');
}

/// Returns seconds since 1970 as `2026-03-02T08:15:00Z`.
pub(super) fn iso_time(seconds: i64) -> String {
    let mut out = String::with_capacity(20);
    push_time(&mut out, seconds);
    out
}

/// Appends a number with zeros in front.
fn push_number(out: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_json_with_the_fields_of_cloudtrail() {
        let mut out = String::new();
        let record = Record {
            time: 1_772_438_400,
            error: Some(("AccessDenied", "no")),
            tls_host: "sts.amazonaws.com",
            resources: "[]",
            ..Record::call("sts", "GetCallerIdentity")
        };
        record.write(&mut out, &mut Rng::new(1, &[]));
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["eventTime"], "2026-03-02T08:00:00Z");
        assert_eq!(value["eventSource"], "sts.amazonaws.com");
        assert_eq!(value["errorCode"], "AccessDenied");
        assert!(value["requestParameters"].is_null() && value.get("vpcEndpointId").is_none());
    }
}
