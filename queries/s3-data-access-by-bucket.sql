-- title: S3 data access, by bucket
-- question: Who read, wrote or deleted objects, in which bucket, and how much?
--
-- Needs S3 data events, which a trail records only where it was told to.
SELECT
    json_extract_scalar(requestparameters, '$.bucketName') AS bucket,
    coalesce(useridentity.sessioncontext.sessionissuer.arn, useridentity.arn,
        useridentity.principalid, useridentity.type) AS principal,
    sourceipaddress,
    eventname,
    count(*) AS calls,
    count(errorcode) AS failed,
    sum(TRY_CAST(json_extract_scalar(additionaleventdata, '$.bytesTransferredOut') AS DOUBLE)) AS bytes_out,
    sum(TRY_CAST(json_extract_scalar(additionaleventdata, '$.bytesTransferredIn') AS DOUBLE)) AS bytes_in,
    min(eventtime) AS first_time,
    max(eventtime) AS last_time
FROM cloudtrail_logs
WHERE eventsource = 's3.amazonaws.com'
    AND eventname IN (
        'GetObject', 'GetObjectTorrent', 'SelectObjectContent', 'HeadObject', 'CopyObject',
        'PutObject', 'UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload', 'RestoreObject',
        'DeleteObject', 'DeleteObjects', 'ListObjects', 'ListObjectVersions', 'PutObjectAcl')
GROUP BY
    json_extract_scalar(requestparameters, '$.bucketName'),
    coalesce(useridentity.sessioncontext.sessionissuer.arn, useridentity.arn,
        useridentity.principalid, useridentity.type),
    sourceipaddress,
    eventname
ORDER BY bytes_out DESC NULLS LAST, calls DESC
