-- title: Activity of an address
-- question: What came from this address, and as whom?
-- parameter: address - An IP address, or the name of a service, as in sourceIPAddress
SELECT
    eventtime,
    coalesce(useridentity.arn, useridentity.principalid, useridentity.type) AS principal,
    useridentity.accesskeyid AS access_key_id,
    recipientaccountid AS account,
    awsregion,
    eventsource,
    eventname,
    errorcode,
    useragent
FROM cloudtrail_logs
WHERE sourceipaddress = $address
ORDER BY eventtime
