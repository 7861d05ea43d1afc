-- title: Failed console logins
-- question: Whose password is being guessed, and from where?
--
-- CloudTrail hides user names that do not exist, since they may be passwords typed into the wrong
-- field; they count here as HIDDEN_DUE_TO_SECURITY_REASONS.
SELECT
    recipientaccountid AS account,
    coalesce(useridentity.username, useridentity.type) AS login,
    sourceipaddress,
    errormessage,
    count(*) AS attempts,
    min(eventtime) AS first_time,
    max(eventtime) AS last_time
FROM cloudtrail_logs
WHERE eventsource = 'signin.amazonaws.com'
    AND eventname = 'ConsoleLogin'
    AND json_extract_scalar(responseelements, '$.ConsoleLogin') = 'Failure'
GROUP BY
    recipientaccountid,
    coalesce(useridentity.username, useridentity.type),
    sourceipaddress,
    errormessage
ORDER BY attempts DESC, first_time
