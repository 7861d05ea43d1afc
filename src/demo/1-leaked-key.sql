-- Who used the CI user's access key, and from where?
SELECT sourceipaddress,
       count(*)         AS calls,
       count(errorcode) AS refused,
       min(eventtime)   AS first_seen,
       max(eventtime)   AS last_seen
FROM cloudtrail_logs
WHERE useridentity.accesskeyid = 'AKIACIDEPLOY7EXAMPLE'
GROUP BY sourceipaddress
ORDER BY first_seen
