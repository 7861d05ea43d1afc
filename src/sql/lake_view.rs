//! `cloudtrail_lake`: the events with the columns that a CloudTrail Lake event data store has.
//!
//! Its names are AWS's, in lower case; its types differ from Athena's where Lake's do: `eventtime` is a
//! TIMESTAMP, flags are BOOLEAN, free-form parts MAP of text to text. What costs to make (maps,
//! `eventjson`) is made by functions over stored columns, so that it costs nothing when it is not asked
//! for, and a look-up of one key builds no map ([`super::given`]).
//!
//! NULL for want of a source: `eventjsonchecksum` (of AWS's own text, which the lake does not have),
//! `insightsource` (a store of AWS's), `eventdata` (of AWS Config's items, which no trail delivers).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, cast, lit, when};

use self::identity::TIMESTAMP;
use self::json_map::map_type;
use super::time::TimeRange;
use super::view::{Base, column, computed};
use crate::event::schema::{EVENT_TIME, UNMAPPED};

mod addendum;
mod event_json;
mod identity;
mod insights;
mod json_map;

pub(super) use self::identity::argument_of_lake_identity;
pub(super) use self::json_map::{argument_of_json_map, json_member};

/// The name under which the session has the view: what event data store ids mean.
pub(super) const CLOUDTRAIL_LAKE: &str = "cloudtrail_lake";

/// The columns in the order of AWS's documentation.
const COLUMNS: [&str; 41] = [
    "eventversion",
    "useridentity",
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
    "sourceipaddress",
    "useragent",
    "errorcode",
    "errormessage",
    "requestparameters",
    "responseelements",
    "additionaleventdata",
    "requestid",
    "eventid",
    "readonly",
    "resources",
    "eventtype",
    "apiversion",
    "managementevent",
    "recipientaccountid",
    "sharedeventid",
    "annotation",
    "vpcendpointid",
    "vpcendpointaccountid",
    "serviceeventdetails",
    "addendum",
    "edgedevicedetails",
    "insightdetails",
    "eventcategory",
    "tlsdetails",
    "sessioncredentialfromconsole",
    "eventjson",
    "eventjsonchecksum",
    "insightsource",
    "insightstate",
    "insighteventsource",
    "insighteventname",
    "insighterrorcode",
    "insighttype",
    "insightcontext",
];

/// The last of Lake's columns.
const EVENT_DATA: &str = "eventdata";

/// Columns of our own, for who names them: where a row comes from, and what is known of its integrity.
const OURS: [&str; 7] =
    ["event_time", "log_file", "record_index", "account", "region", "integrity", "integrity_reason"];

/// What `*` shows of it: Lake's columns.
pub(super) fn star() -> Vec<String> {
    COLUMNS.into_iter().chain([EVENT_DATA]).map(str::to_owned).collect()
}

/// The plan of the view. With `distinct`, each event once.
pub(super) fn cloudtrail_lake(
    events: &Arc<dyn TableProvider>,
    range: TimeRange,
    distinct: bool,
) -> Result<LogicalPlan> {
    let columns = COLUMNS.into_iter().map(|name| Ok(computed(made(name)?, name)));
    let mut columns = columns.collect::<Result<Vec<_>>>()?;
    columns.push(computed(lit(ScalarValue::try_from(&event_data())?), EVENT_DATA));
    let schema = events.schema();
    let is_there = |name: &&str| schema.column_with_name(name).is_some();
    columns.extend(OURS.into_iter().filter(is_there).map(column));
    Base { events, range, distinct }.plan()?.project(columns)?.build()
}

fn made(name: &str) -> Result<Expr> {
    let insight = |key| json_member(column("insightdetails"), key, false);
    Ok(match name {
        "eventtime" => cast(column(EVENT_TIME), TIMESTAMP),
        "useridentity" => identity::lake_identity(column(name)),
        "readonly" | "managementevent" => column(name).eq(lit("true")),
        "sessioncredentialfromconsole" => when(column(name).eq(lit("true")), lit(true))
            .when(column(name).eq(lit("false")), lit(false))
            .otherwise(lit(ScalarValue::Boolean(None)))?,
        "requestparameters"
        | "responseelements"
        | "additionaleventdata"
        | "serviceeventdetails"
        | "edgedevicedetails"
        | "insightdetails" => json_map::json_map(column(name)),
        "addendum" => addendum::addendum_map(column(name)),
        "resources" => super::ddl::lake_resources().call(vec![column(name)]),
        "annotation" => json_member(column(UNMAPPED), "annotation", false),
        "eventjson" => event_json::event_json(column),
        "eventjsonchecksum" | "insightsource" => lit(ScalarValue::Utf8(None)),
        "insightstate" => insight("state"),
        "insighteventsource" => insight("eventSource"),
        "insighteventname" => insight("eventName"),
        "insighterrorcode" => insight("errorCode"),
        "insighttype" => insight("insightType"),
        "insightcontext" => insights::insight_context(column("insightdetails")),
        _ => column(name),
    })
}

/// The type of `eventdata`: an item of AWS Config.
fn event_data() -> DataType {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let map = |name: &str| Field::new(name, map_type(), true);
    let relationship = ["name", "resourcetype", "resourceid", "resourcename"].map(text);
    let relationship = DataType::Struct(Fields::from(relationship.to_vec()));
    let texts = [
        "configurationitemversion",
        "configurationitemcapturetime",
        "configurationitemstatus",
        "configurationitemstateid",
        "accountid",
        "resourcetype",
        "resourceid",
        "resourcename",
        "arn",
        "awsregion",
        "availabilityzone",
        "resourcecreationtime",
    ];
    let mut fields: Vec<Field> = texts.map(text).to_vec();
    fields.extend([
        map("configuration"),
        map("supplementaryconfiguration"),
        map("tags"),
        text("relatedevents"),
    ]);
    fields.push(Field::new("relationships", relationship, true));
    DataType::Struct(fields.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::sql::testing::{answer, session};

    fn rows() -> [Value; 2] {
        [
            json!({
                "eventid": "1", "eventname": "PutObject", "eventtime": "2026-01-05T13:51:00.5Z",
                "event_time": "2026-01-05T13:51:00.500Z", "readonly": "false", "managementevent": "true",
                "sessioncredentialfromconsole": "true", "null_fields": "responseElements",
                "requestparameters": r#"{"bucketName":"b","n":1.50,"ok":true,"none":null,"list":[1,{"x":"y z"}]}"#,
                "addendum": {"reason": "DELIVERY_DELAY"},
                "useridentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/a", "sessioncontext":
                    {"attributes": {"creationdate": "2026-01-05T13:00:00Z", "mfaauthenticated": "true"}}},
                "unmapped": r#"{"annotation":"note","future":[1]}"#,
            }),
            json!({
                "eventid": "2", "eventname": "Insight",
                "insightdetails": r#"{"state":"Start","eventSource":"iam.amazonaws.com","eventName":"ListUsers",
                    "insightType":"ApiCallRateInsight","insightContext":{"statistics":{"baseline":{"average":0.5},
                    "insight":{"average":12.5},"insightDuration":3,"baselineDuration":10080},"attributions":[
                    {"attribute":"userAgent","insight":[{"value":"a","average":1.0},{"value":"b","average":2.0}],
                    "baseline":[{"value":"c","average":0.1}]}]}}"#,
            }),
        ]
    }

    async fn ask(sql: &str) -> Vec<String> {
        answer(&session(&rows()), sql).await
    }

    #[tokio::test]
    async fn types_are_those_of_lake() {
        let sql = "SELECT arrow_typeof(eventtime), arrow_typeof(readonly), arrow_typeof(sessioncredentialfromconsole),
            arrow_typeof(useridentity.sessioncontext.attributes.creationdate) FROM cloudtrail_lake LIMIT 1";
        assert_eq!(ask(sql).await, ["Timestamp(ms),Boolean,Boolean,Timestamp(ms)"]);
        let sql = "SELECT eventtime, readonly, managementevent, sessioncredentialfromconsole,
            useridentity.sessioncontext.attributes.creationdate, annotation FROM cloudtrail_lake ORDER BY eventid";
        let expected = ["2026-01-05 13:51:00.500,false,true,true,2026-01-05 13:00:00.000,note", ",,,,,"];
        assert_eq!(ask(sql).await, expected);
    }

    #[tokio::test]
    async fn maps_hold_text() {
        let sql = "SELECT map_keys(requestparameters), map_values(requestparameters), map_keys(addendum),
            responseelements FROM cloudtrail_lake WHERE eventid = '1'";
        let expected = r#""[bucketName, n, ok, none, list]","[b, 1.50, true, null, [1,{""x"":""y z""}]]","[reason, updatedFields, originalRequestID, originalEventID]","#;
        assert_eq!(ask(sql).await, [expected]);
    }

    #[tokio::test]
    async fn the_whole_record_is_rebuilt() {
        let found = ask("SELECT eventjson FROM cloudtrail_lake WHERE eventid = '1'").await;
        let json = found[0].trim_matches('"').replace("\"\"", "\"");
        let record: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(record["requestParameters"]["list"], json!([1, {"x": "y z"}]));
        assert_eq!(record["readOnly"], json!(false));
        assert_eq!(record["responseElements"], Value::Null);
        assert_eq!(record["future"], json!([1]));
        assert_eq!(
            record["userIdentity"]["sessionContext"]["attributes"]["creationDate"],
            "2026-01-05T13:00:00Z"
        );
    }

    #[tokio::test]
    async fn insights_are_told_as_in_lake() {
        let sql = "SELECT insightstate, insighteventname, insighttype, insightcontext.insightaverage,
            insightcontext.baselineduration, cardinality(insightcontext.attributions), insightsource
            FROM cloudtrail_lake WHERE eventid = '2'";
        assert_eq!(ask(sql).await, ["Start,ListUsers,ApiCallRateInsight,12.5,10080,2,"]);
    }

    #[tokio::test]
    async fn a_member_is_read_without_the_struct_or_the_map() {
        let sql = "EXPLAIN SELECT useridentity.arn, count(*) FROM cloudtrail_lake
            WHERE useridentity.type = 'IAMUser' GROUP BY useridentity.arn";
        let plan = ask(sql).await.join("\n");
        assert!(!plan.contains("$lake_identity"), "{plan}");
        let found =
            ask("SELECT useridentity.arn FROM cloudtrail_lake WHERE useridentity.type = 'IAMUser'").await;
        assert_eq!(found, ["arn:aws:iam::1:user/a"]);
    }
}
