-- Which data was taken with the session in production?
SELECT eventname,
       coalesce(errorcode, 'done') AS outcome,
       count(*) AS calls,
       substr(min(eventtime), 12, 8) AS first_seen,
       substr(max(eventtime), 12, 8) AS last_seen,
       max(coalesce(json_extract_scalar(requestparameters, '$.key'),
                    json_extract_scalar(requestparameters, '$.bucketName'),
                    json_extract_scalar(requestparameters, '$.snapshotId'),
                    json_extract_scalar(requestparameters, '$.volumeId'))) AS for_example
FROM cloudtrail_logs
WHERE (useridentity.accesskeyid = 'ASIAROSAMNT77EXAMPLE'
       AND eventname IN ('ListObjects', 'GetObject', 'CreateSnapshot', 'ModifySnapshotAttribute'))
   OR eventname = 'SharedSnapshotCopyInitiated'
GROUP BY eventname, outcome
ORDER BY min(eventtime)
