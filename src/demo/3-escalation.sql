-- How did a CI user become an administrator of production?
SELECT substr(eventtime, 12, 8) AS time,
       useridentity.accesskeyid AS accesskeyid,
       sourceipaddress,
       eventname,
       CASE WHEN errorcode IS NULL THEN 'done' ELSE 'refused' END AS outcome,
       coalesce(json_extract_scalar(requestparameters, '$.userName'),
                json_extract_scalar(requestparameters, '$.roleName'),
                split_part(json_extract_scalar(requestparameters, '$.roleArn'), '/', 2)) AS target
FROM cloudtrail_logs
WHERE (sourceipaddress = '203.0.113.66' OR useridentity.username = 'rosa.admin')
  AND eventsource IN ('iam.amazonaws.com', 'signin.amazonaws.com', 'sts.amazonaws.com')
  AND eventname NOT LIKE 'Get%'
  AND eventname NOT LIKE 'List%'
  AND useridentity.type <> 'AWSAccount'
ORDER BY eventtime
