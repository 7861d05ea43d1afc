-- How did a CI user become an administrator of production?
SELECT eventtime,
       useridentity.accesskeyid AS accesskeyid,
       sourceipaddress,
       eventname,
       errorcode,
       requestparameters
FROM cloudtrail_logs
WHERE (sourceipaddress = '203.0.113.66' OR useridentity.username = 'rosa.admin')
  AND eventsource IN ('iam.amazonaws.com', 'signin.amazonaws.com', 'sts.amazonaws.com')
  AND eventname NOT LIKE 'Get%'
  AND eventname NOT LIKE 'List%'
  AND useridentity.type <> 'AWSAccount'
ORDER BY eventtime
