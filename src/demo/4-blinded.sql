-- Who stopped what watches, and did it work?
SELECT eventtime,
       eventname,
       errorcode,
       useridentity.arn         AS arn,
       useridentity.accesskeyid AS accesskeyid,
       sourceipaddress,
       requestparameters
FROM cloudtrail_logs
WHERE eventname IN ('StopLogging', 'DeleteTrail', 'DeleteDetector', 'StartLogging', 'CreateDetector')
ORDER BY eventtime
