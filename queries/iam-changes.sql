-- title: IAM changes
-- question: Who changed users, roles, policies or access keys?
--
-- Calls that failed are shown too: an attempt to become administrator is news either way.
SELECT
    eventtime,
    coalesce(useridentity.arn, useridentity.principalid, useridentity.type) AS principal,
    sourceipaddress,
    eventname,
    coalesce(
        json_extract_scalar(requestparameters, '$.userName'),
        json_extract_scalar(requestparameters, '$.roleName'),
        json_extract_scalar(requestparameters, '$.groupName'),
        json_extract_scalar(requestparameters, '$.instanceProfileName'),
        json_extract_scalar(requestparameters, '$.sAMLProviderArn'),
        json_extract_scalar(requestparameters, '$.openIDConnectProviderArn')
    ) AS changed,
    coalesce(
        json_extract_scalar(requestparameters, '$.policyArn'),
        json_extract_scalar(requestparameters, '$.policyName'),
        json_extract_scalar(responseelements, '$.accessKey.accessKeyId'),
        json_extract_scalar(requestparameters, '$.accessKeyId')
    ) AS detail,
    errorcode
FROM cloudtrail_logs
WHERE eventsource = 'iam.amazonaws.com'
    AND (eventname LIKE 'Create%' OR eventname LIKE 'Delete%' OR eventname LIKE 'Put%'
        OR eventname LIKE 'Attach%' OR eventname LIKE 'Detach%' OR eventname LIKE 'Update%'
        OR eventname LIKE 'Add%' OR eventname LIKE 'Remove%' OR eventname LIKE 'Set%'
        OR eventname LIKE 'Upload%' OR eventname LIKE 'ChangePassword'
        OR eventname LIKE 'Enable%' OR eventname LIKE 'Deactivate%' OR eventname LIKE 'Resync%')
ORDER BY eventtime
