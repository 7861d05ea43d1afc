-- title: Console logins without MFA
-- question: Who logged in to the console with no more than a password?
--
-- IAM users and root users only: for federated users MFA is the identity provider's business, and
-- CloudTrail says No of all of them.
SELECT
    eventtime,
    recipientaccountid AS account,
    useridentity.type AS identity_type,
    useridentity.arn AS arn,
    sourceipaddress,
    useragent
FROM cloudtrail_logs
WHERE eventsource = 'signin.amazonaws.com'
    AND eventname = 'ConsoleLogin'
    AND json_extract_scalar(responseelements, '$.ConsoleLogin') = 'Success'
    AND json_extract_scalar(additionaleventdata, '$.MFAUsed') = 'No'
    AND useridentity.type IN ('IAMUser', 'Root')
ORDER BY eventtime
