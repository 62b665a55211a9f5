/*
id = "FGA505"
name = "may-not-exist"
title = "It is not certain that the function exists"
area = "hygiene"
severity = "info"
subject = "urn"
needs = ["functions"]
applies = "status = 'not_configured'"
why = "The service gives the same answer for a function without configuration and for one that was deleted."
fix = "Export with --all: the listing names the functions that exist. Terraform cannot tell."
command = "inventory export --all --region REGION --project-id PROJECT_ID --output DIR"
source = "API facts, section 4: tested by others on the live service"
*/
SELECT id, subject, function_exists IS DISTINCT FROM true AS fails, {'function_exists': function_exists} AS evidence
FROM subjects
