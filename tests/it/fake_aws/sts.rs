//! Roles: whoever gives the right external id becomes them. The access key tells which.

use super::Shared;
use super::http::{Request, Response};

pub(super) fn answer(request: &Request, shared: &Shared) -> Response {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let role = field("RoleArn").rsplit('/').next().unwrap_or_default();
    if shared.external_ids.lock().unwrap().get(role).is_none_or(|wanted| field("ExternalId") != wanted) {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                    <Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>";
        return Response::new(403, body);
    }
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/{role}/trailq</Arn>\
         <AssumedRoleId>AROA:trailq</AssumedRoleId></AssumedRoleUser><Credentials>\
         <AccessKeyId>{role}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    Response::new(200, body)
}
