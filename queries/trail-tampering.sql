-- title: Trail tampering
-- question: Who tried to stop or to blind the monitoring?
--
-- CloudTrail itself, and what else keeps watch: GuardDuty, Config, Security Hub, flow logs, log groups.
SELECT
    eventtime,
    coalesce(useridentity.arn, useridentity.principalid, useridentity.type) AS principal,
    sourceipaddress,
    awsregion,
    eventsource,
    eventname,
    coalesce(
        json_extract_scalar(requestparameters, '$.name'),
        json_extract_scalar(requestparameters, '$.trailName'),
        json_extract_scalar(requestparameters, '$.eventDataStore'),
        json_extract_scalar(requestparameters, '$.detectorId'),
        json_extract_scalar(requestparameters, '$.configurationRecorderName'),
        json_extract_scalar(requestparameters, '$.logGroupName')
    ) AS target,
    errorcode
FROM cloudtrail_logs
WHERE (eventsource = 'cloudtrail.amazonaws.com' AND eventname IN (
        'StopLogging', 'DeleteTrail', 'UpdateTrail', 'PutEventSelectors', 'PutInsightSelectors',
        'DeleteEventDataStore', 'StopEventDataStoreIngestion', 'UpdateEventDataStore',
        'DeleteChannel', 'DeregisterOrganizationDelegatedAdmin'))
    OR (eventsource = 'guardduty.amazonaws.com' AND eventname IN (
        'DeleteDetector', 'UpdateDetector', 'CreateFilter', 'CreateIPSet', 'DeleteMembers',
        'DisassociateMembers', 'DisassociateFromAdministratorAccount', 'DisassociateFromMasterAccount',
        'StopMonitoringMembers', 'DeletePublishingDestination'))
    OR (eventsource = 'config.amazonaws.com' AND eventname IN (
        'StopConfigurationRecorder', 'DeleteConfigurationRecorder', 'DeleteDeliveryChannel',
        'DeleteConfigRule'))
    OR (eventsource = 'securityhub.amazonaws.com' AND eventname IN (
        'DisableSecurityHub', 'BatchDisableStandards', 'DeleteMembers', 'DisassociateMembers'))
    OR (eventsource = 'ec2.amazonaws.com' AND eventname = 'DeleteFlowLogs')
    OR (eventsource = 'logs.amazonaws.com' AND eventname IN (
        'DeleteLogGroup', 'DeleteLogStream', 'DeleteSubscriptionFilter', 'PutRetentionPolicy'))
    OR (eventsource = 'monitoring.amazonaws.com' AND eventname IN (
        'DeleteAlarms', 'DisableAlarmActions'))
ORDER BY eventtime
