-- What did the foreign address try with that key, and what was denied?
SELECT eventsource,
       eventname,
       count(*)         AS calls,
       count(errorcode) AS refused,
       min(eventtime)   AS first_seen
FROM cloudtrail_logs
WHERE useridentity.accesskeyid = 'AKIACIDEPLOY7EXAMPLE'
  AND sourceipaddress = '203.0.113.66'
GROUP BY eventsource, eventname
ORDER BY first_seen
