-- Who stopped what watches, and did it work?
SELECT substr(eventtime, 12, 8) AS time,
       eventname,
       coalesce(errorcode, 'done') AS outcome,
       element_at(split(useridentity.arn, '/'), -1) AS who,
       sourceipaddress,
       coalesce(element_at(split(json_extract_scalar(requestparameters, '$.name'), '/'), -1),
                json_extract_scalar(requestparameters, '$.detectorId')) AS what
FROM cloudtrail_logs
WHERE eventname IN ('StopLogging', 'DeleteTrail', 'DeleteDetector', 'StartLogging', 'CreateDetector')
ORDER BY eventtime
