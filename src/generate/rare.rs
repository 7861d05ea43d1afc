//! Events of the trees beside the usual one: Insights, network activity and aggregated events.

use super::record::{Record, iso_time};
use super::rng::Rng;
use super::story::StoryEvent;
use super::world::{World, uuid};
use crate::object::Tree;

/// Somebody's call was refused by the policy of a VPC endpoint.
pub(super) fn network_activity(
    world: &World,
    account: usize,
    region: usize,
    time: i64,
    rng: &mut Rng,
) -> StoryEvent {
    let (details, region_name) = (&world.accounts[account], &world.regions[region]);
    let identity = format!(
        r#"{{"type":"AWSAccount","principalId":"{}:{}","accountId":"{}"}}"#,
        details.app_role.id, details.instances[0], details.id
    );
    let (source, name) =
        if rng.one_in(2) { ("kms", "Decrypt") } else { ("secretsmanager", "GetSecretValue") };
    let mut text = String::new();
    let record = Record {
        version: "1.09",
        identity: &identity,
        time,
        region: region_name,
        address: &details.nat,
        error: Some(("VpceAccessDenied", "The request was denied due to a VPC endpoint policy")),
        event_type: "AwsVpceEvent",
        category: "NetworkActivity",
        account: &details.id,
        vpc_endpoint: &details.vpc_endpoint,
        ..Record::call(source, name)
    };
    record.write(&mut text, rng);
    StoryEvent { place: (account, region), tree: Tree::NetworkActivity, time, text, delay: 0 }
}

/// What was done to the application's bucket in the five minutes before the file was written.
///
/// AWS documents the record and not the file that it comes in; here it is the usual one.
pub(super) fn aggregated(world: &World, place: (usize, usize), name_time: i64, rng: &mut Rng) -> StoryEvent {
    let (account, region) = (&world.accounts[place.0], &world.regions[place.1]);
    let (reads, writes) = (20 + rng.below(400), 1 + rng.below(40));
    let (start, end) = (name_time - 600, name_time - 300);
    let text = format!(
        r#"{{"eventVersion":"1.0","accountId":"{}","eventId":"{}","eventCategory":"Aggregated","eventType":"AwsAggregatedEvent","awsRegion":"{region}","eventSource":"s3.amazonaws.com","timeWindow":{{"windowStart":"{}","windowEnd":"{}","windowSize":"PT5M"}},"summary":{{"primaryDimension":{{"dimension":"resourceARN","statistics":[{{"name":"arn:aws:s3:::example-books-{}","value":{}}}],"aggregationType":"Count"}},"details":[{{"dimension":"eventName","statistics":[{{"name":"GetObject","value":{reads}}},{{"name":"PutObject","value":{writes}}}],"aggregationType":"Count"}}]}}}}"#,
        account.id,
        uuid(rng),
        iso_time(start),
        iso_time(end),
        account.app,
        reads + writes,
    );
    StoryEvent { place, tree: Tree::Aggregated, time: start, text, delay: 0 }
}

/// What an Insight is about.
pub(super) struct Insight<'a> {
    pub(super) kind: &'a str,
    pub(super) source: &'a str,
    pub(super) name: &'a str,
    pub(super) error: &'a str,
    pub(super) caller: &'a str,
    pub(super) agent: &'a str,
}

/// The start and the end of an Insight, which share their `sharedEventID`.
pub(super) fn insight(
    world: &World,
    place: (usize, usize),
    about: &Insight,
    (start, end): (i64, i64),
    rng: &mut Rng,
) -> [StoryEvent; 2] {
    let shared = uuid(rng);
    let (account, region) = (&world.accounts[place.0].id, &world.regions[place.1]);
    let minutes = (end - start) / 60;
    let error = match about.error {
        "" => String::new(),
        code => format!(r#""errorCode":"{code}","#),
    };
    [("Start", start, String::new()), ("End", end, format!(r#","insightDuration":{minutes}"#))].map(|(state, time, duration)| {
        let text = format!(
            r#"{{"eventVersion":"1.09","eventTime":"{}","awsRegion":"{region}","eventID":"{}","eventType":"AwsCloudTrailInsight","recipientAccountId":"{account}","sharedEventID":"{shared}","insightDetails":{{"state":"{state}","eventSource":"{}.amazonaws.com","eventName":"{}","insightType":"{}",{error}"insightContext":{{"statistics":{{"baseline":{{"average":0.0020833333}},"insight":{{"average":2.6}}{duration},"baselineDuration":10080}},"attributions":[{{"attribute":"userIdentityArn","insight":[{{"value":"{}","average":2.6}}],"baseline":[]}},{{"attribute":"userAgent","insight":[{{"value":"{}","average":2.6}}],"baseline":[]}}]}}}},"eventCategory":"Insight"}}"#,
            iso_time(time), uuid(rng), about.source, about.name, about.kind, about.caller, about.agent
        );
        // Insights come within half an hour.
        StoryEvent { place, tree: Tree::Insight, time, text, delay: 900 }
    })
}
