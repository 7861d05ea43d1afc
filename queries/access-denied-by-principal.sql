-- title: Access denied, by principal
-- question: Who tries what they may not do?
--
-- Stolen credentials are first tried out. Many different denied calls within minutes are a sign of
-- reconnaissance; one call denied for weeks is a broken policy.
SELECT
    coalesce(useridentity.sessioncontext.sessionissuer.arn, useridentity.arn,
        useridentity.principalid) AS principal,
    sourceipaddress,
    count(*) AS denied,
    count(DISTINCT eventname) AS different_calls,
    min(eventtime) AS first_time,
    max(eventtime) AS last_time,
    array_agg(DISTINCT eventname ORDER BY eventname) AS calls
FROM cloudtrail_logs
WHERE errorcode LIKE '%AccessDenied%'
    OR errorcode LIKE '%UnauthorizedOperation'
    OR errorcode IN ('AuthorizationError', 'NotAuthorized', 'Forbidden')
GROUP BY
    coalesce(useridentity.sessioncontext.sessionissuer.arn, useridentity.arn,
        useridentity.principalid),
    sourceipaddress
ORDER BY different_calls DESC, denied DESC
