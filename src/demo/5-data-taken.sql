-- Which data was taken with the session in production?
SELECT eventname,
       errorcode,
       count(*)               AS calls,
       min(eventtime)         AS first_seen,
       max(eventtime)         AS last_seen,
       max(requestparameters) AS for_example
FROM cloudtrail_logs
WHERE (useridentity.accesskeyid = 'ASIAROSAMNT77EXAMPLE'
       AND eventname IN ('ListObjects', 'GetObject', 'CreateSnapshot', 'ModifySnapshotAttribute'))
   OR eventname = 'SharedSnapshotCopyInitiated'
GROUP BY eventname, errorcode
ORDER BY first_seen
