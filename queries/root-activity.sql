-- title: Root activity
-- question: What did the root user of any account do?
--
-- Daily work needs no root user, so every row wants an explanation. What AWS services do in the
-- root user's name is left out.
SELECT
    eventtime,
    recipientaccountid AS account,
    eventsource,
    eventname,
    awsregion,
    sourceipaddress,
    useragent,
    errorcode
FROM cloudtrail_logs
WHERE useridentity.type = 'Root'
    AND useridentity.invokedby IS NULL
    AND eventtype <> 'AwsServiceEvent'
ORDER BY eventtime
