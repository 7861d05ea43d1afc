-- title: Security group openings
-- question: Who opened a security group to the whole internet?
--
-- The first permission of the call is shown; `permissions` has all of them.
SELECT
    eventtime,
    coalesce(useridentity.arn, useridentity.principalid, useridentity.type) AS principal,
    sourceipaddress,
    recipientaccountid AS account,
    awsregion,
    json_extract_scalar(requestparameters, '$.groupId') AS group_id,
    coalesce(
        json_extract_scalar(requestparameters, '$.ipPermissions.items[0].ipProtocol'),
        json_extract_scalar(requestparameters, '$.ipProtocol')) AS protocol,
    coalesce(
        json_extract_scalar(requestparameters, '$.ipPermissions.items[0].fromPort'),
        json_extract_scalar(requestparameters, '$.fromPort')) AS from_port,
    coalesce(
        json_extract_scalar(requestparameters, '$.ipPermissions.items[0].toPort'),
        json_extract_scalar(requestparameters, '$.toPort')) AS to_port,
    json_extract(requestparameters, '$.ipPermissions.items') AS permissions,
    errorcode
FROM cloudtrail_logs
WHERE eventsource = 'ec2.amazonaws.com'
    AND eventname IN ('AuthorizeSecurityGroupIngress', 'ModifySecurityGroupRules')
    AND (requestparameters LIKE '%"0.0.0.0/0"%' OR requestparameters LIKE '%"::/0"%')
ORDER BY eventtime
