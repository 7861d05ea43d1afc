-- title: Who used an access key
-- question: From where, with what and for what was this access key used?
-- parameter: access_key_id - The key in question, AKIA... or ASIA...
--
-- An address or a user agent that appears only after the leak is the thief.
SELECT
    sourceipaddress,
    useragent,
    coalesce(useridentity.arn, useridentity.principalid) AS principal,
    count(*) AS calls,
    count(errorcode) AS failed,
    min(eventtime) AS first_time,
    max(eventtime) AS last_time,
    array_agg(DISTINCT eventname ORDER BY eventname) AS event_names
FROM cloudtrail_logs
WHERE useridentity.accesskeyid = $access_key_id
GROUP BY
    sourceipaddress,
    useragent,
    coalesce(useridentity.arn, useridentity.principalid)
ORDER BY first_time
