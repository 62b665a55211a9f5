/*
id = "FGA404"
name = "rocketmq-without-vpc"
title = "A RocketMQ destination needs a VPC"
area = "security"
severity = "high"
subject = "destination"
needs = ["functions", "destinations", "function_facts"]
applies = "contains(lower(type), 'rocketmq')"
why = "The service reaches RocketMQ only through the function's VPC."
fix = "Give the function access to the VPC of the RocketMQ instance."
terraform = '''
# in resource "huaweicloud_fgs_function"
vpc_id     = "VPC_ID"
network_id = "NETWORK_ID"
agency     = "AGENCY"
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    t.id, t.subject, t.event, t.type AS target, f.func_vpc_id = '' AS fails,
    CASE WHEN f.has_facts THEN 'not_stated' ELSE 'facts_missing' END AS why_unknown
FROM targets AS t LEFT JOIN facts AS f ON f.id = t.subject_id
