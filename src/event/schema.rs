//! The columns of an event: one table that the reader, the Parquet schema and the rebuilding share.
//!
//! The names and types of the first 29 columns are those of the `CREATE EXTERNAL TABLE
//! cloudtrail_logs` that AWS publishes for Athena. After them stand fields that newer events have,
//! what keeps a record whole, and the provenance of the row.
//! <https://docs.aws.amazon.com/athena/latest/ug/create-cloudtrail-table.html>

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};

/// One field of a record, and the column it fills.
#[derive(Debug)]
pub struct Field {
    /// The name as CloudTrail spells it: `userIdentity`.
    pub name: &'static str,
    /// The name of the column: the same, in lower case.
    pub column: &'static str,
    /// How its value is typed.
    pub kind: Kind,
}

/// How a field's value becomes a column.
#[derive(Debug)]
pub enum Kind {
    /// A JSON string, unescaped.
    Text,
    /// A JSON boolean, as the text `true` or `false`, which is how Athena's tables have it.
    Flag,
    /// Any JSON value, as the bytes that the record has.
    Json,
    /// A JSON object with known members.
    Struct(&'static [Field]),
    /// A JSON array of objects with known members.
    List(&'static [Field]),
    /// A JSON object of strings.
    Map,
}

const fn text(name: &'static str, column: &'static str) -> Field {
    Field { name, column, kind: Kind::Text }
}

const fn flag(name: &'static str, column: &'static str) -> Field {
    Field { name, column, kind: Kind::Flag }
}

const fn json(name: &'static str, column: &'static str) -> Field {
    Field { name, column, kind: Kind::Json }
}

const fn object(name: &'static str, column: &'static str, members: &'static [Field]) -> Field {
    Field { name, column, kind: Kind::Struct(members) }
}

/// The fields of a record, in the order of the columns.
pub static RECORD: &[Field] = &[
    text("eventVersion", "eventversion"),
    object("userIdentity", "useridentity", USER_IDENTITY),
    text("eventTime", "eventtime"),
    text("eventSource", "eventsource"),
    text("eventName", "eventname"),
    text("awsRegion", "awsregion"),
    text("sourceIPAddress", "sourceipaddress"),
    text("userAgent", "useragent"),
    text("errorCode", "errorcode"),
    text("errorMessage", "errormessage"),
    json("requestParameters", "requestparameters"),
    json("responseElements", "responseelements"),
    json("additionalEventData", "additionaleventdata"),
    text("requestID", "requestid"),
    text("eventID", "eventid"),
    flag("readOnly", "readonly"),
    Field { name: "resources", column: "resources", kind: Kind::List(RESOURCE) },
    text("eventType", "eventtype"),
    text("apiVersion", "apiversion"),
    text("recipientAccountId", "recipientaccountid"),
    json("serviceEventDetails", "serviceeventdetails"),
    text("sharedEventID", "sharedeventid"),
    text("vpcEndpointId", "vpcendpointid"),
    text("vpcEndpointAccountId", "vpcendpointaccountid"),
    text("eventCategory", "eventcategory"),
    object("addendum", "addendum", ADDENDUM),
    text("sessionCredentialFromConsole", "sessioncredentialfromconsole"),
    json("edgeDeviceDetails", "edgedevicedetails"),
    object("tlsDetails", "tlsdetails", TLS_DETAILS),
    // Beyond AWS's DDL.
    flag("managementEvent", "managementevent"),
    json("eventContext", "eventcontext"),
    json("insightDetails", "insightdetails"),
    json("timeWindow", "timewindow"),
    json("summary", "summary"),
];

static USER_IDENTITY: &[Field] = &[
    text("type", "type"),
    text("principalId", "principalid"),
    text("arn", "arn"),
    text("accountId", "accountid"),
    text("invokedBy", "invokedby"),
    text("accessKeyId", "accesskeyid"),
    text("userName", "username"),
    object("sessionContext", "sessioncontext", SESSION_CONTEXT),
    object(
        "onBehalfOf",
        "onbehalfof",
        &[text("userId", "userid"), text("identityStoreArn", "identitystorearn")],
    ),
    object("inScopeOf", "inscopeof", IN_SCOPE_OF),
    text("identityProvider", "identityprovider"),
    text("credentialId", "credentialid"),
    object("invokedByDelegate", "invokedbydelegate", &[text("accountId", "accountid")]),
];

static SESSION_CONTEXT: &[Field] = &[
    object(
        "attributes",
        "attributes",
        &[
            text("mfaAuthenticated", "mfaauthenticated"),
            text("creationDate", "creationdate"),
            text("sessionCredentialFromConsole", "sessioncredentialfromconsole"),
        ],
    ),
    object(
        "sessionIssuer",
        "sessionissuer",
        &[
            text("type", "type"),
            text("principalId", "principalid"),
            text("arn", "arn"),
            text("accountId", "accountid"),
            text("userName", "username"),
        ],
    ),
    object(
        "webIdFederationData",
        "webidfederationdata",
        &[
            text("federatedProvider", "federatedprovider"),
            Field { name: "attributes", column: "attributes", kind: Kind::Map },
        ],
    ),
    text("ec2RoleDelivery", "ec2roledelivery"),
    text("ec2IssuedInVpc", "ec2issuedinvpc"),
    text("sourceIdentity", "sourceidentity"),
    text("assumedRoot", "assumedroot"),
];

static IN_SCOPE_OF: &[Field] = &[
    text("sourceArn", "sourcearn"),
    text("sourceAccount", "sourceaccount"),
    text("issuerType", "issuertype"),
    text("credentialsIssuedTo", "credentialsissuedto"),
    text("credentialsIssuedToVersion", "credentialsissuedtoversion"),
];

static RESOURCE: &[Field] = &[
    text("ARN", "arn"),
    text("accountId", "accountid"),
    text("type", "type"),
    text("ARNPrefix", "arnprefix"),
];

pub(crate) static ADDENDUM: &[Field] = &[
    text("reason", "reason"),
    text("updatedFields", "updatedfields"),
    text("originalRequestID", "originalrequestid"),
    text("originalEventID", "originaleventid"),
    text("originalUID", "originaluid"),
];

static TLS_DETAILS: &[Field] = &[
    text("tlsVersion", "tlsversion"),
    text("cipherSuite", "ciphersuite"),
    text("clientProvidedHostHeader", "clientprovidedhostheader"),
    text("keyExchange", "keyexchange"),
];

/// JSON: the top-level fields that no column can give back exactly, each with its whole value.
pub const UNMAPPED: &str = "unmapped";
/// The top-level fields that the record has with the value `null`, comma-separated.
pub const NULL_FIELDS: &str = "null_fields";
/// `eventtime` as a timestamp, microseconds, UTC. NULL where it is no ISO 8601 time.
pub const EVENT_TIME: &str = "event_time";
/// Where the row comes from: `s3://bucket/key`, or the absolute path of a local file.
pub const LOG_FILE: &str = "log_file";
/// Which record of that file it is, from 0, counting damaged ones.
pub const RECORD_INDEX: &str = "record_index";
/// The account in the object key.
pub const ACCOUNT: &str = "account";
/// The region in the object key.
pub const REGION: &str = "region";
/// The date in the object key.
pub const LOG_DATE: &str = "log_date";
/// The partition: the UTC date of `event_time`, or else `log_date`; also `log_date` where the two are
/// more than some weeks apart, so that no log file can spread its rows over the centuries.
pub const EVENT_DATE: &str = "event_date";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields: Vec<ArrowField> = RECORD.iter().map(arrow_field).collect();
    let utf8 = |name| ArrowField::new(name, DataType::Utf8, true);
    fields.extend([
        utf8(UNMAPPED),
        utf8(NULL_FIELDS),
        ArrowField::new(EVENT_TIME, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        utf8(LOG_FILE),
        ArrowField::new(RECORD_INDEX, DataType::Int32, true),
        utf8(ACCOUNT),
        utf8(REGION),
        ArrowField::new(LOG_DATE, DataType::Date32, true),
        ArrowField::new(EVENT_DATE, DataType::Date32, true),
    ]);
    Arc::new(Schema::new(fields))
});

/// The Arrow schema of the `events` table: the partition column `event_date` stands last.
#[must_use]
pub fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// The Arrow fields of a struct's members.
pub(crate) fn arrow_fields(members: &[Field]) -> Fields {
    members.iter().map(arrow_field).collect()
}

/// The entries of a MAP of text to text, named as Delta and Parquet name them.
pub(crate) fn map_entries() -> Fields {
    Fields::from(vec![
        ArrowField::new("key", DataType::Utf8, false),
        ArrowField::new("value", DataType::Utf8, true),
    ])
}

fn arrow_field(field: &Field) -> ArrowField {
    let data_type = match &field.kind {
        Kind::Text | Kind::Flag | Kind::Json => DataType::Utf8,
        Kind::Struct(members) => DataType::Struct(arrow_fields(members)),
        Kind::List(members) => {
            let element = ArrowField::new("element", DataType::Struct(arrow_fields(members)), true);
            DataType::List(Arc::new(element))
        }
        Kind::Map => {
            let entries = ArrowField::new("key_value", DataType::Struct(map_entries()), false);
            DataType::Map(Arc::new(entries), false)
        }
    };
    ArrowField::new(field.column, data_type, true)
}
