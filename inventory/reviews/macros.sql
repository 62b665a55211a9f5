-- Functions that rules can use. A canonical URN has 8 fields: latest is added where the exported URN has no qualifier.

CREATE MACRO canonical(urn) AS
    CASE WHEN length(urn) - length(replace(urn, ':', '')) = 7 THEN urn ELSE urn || ':latest' END;
CREATE MACRO function_of(urn) AS substr(urn, 1, length(urn) - instr(reverse(urn), ':'));
CREATE MACRO key_of(urn) AS  -- 128 bits instead of the text: joins need a third of the memory
    hash(urn)::UHUGEINT * 18446744073709551616 + hash('-' || urn);
CREATE MACRO is_alias(urn) AS contains(urn, ':!');
CREATE MACRO is_function_urn(text) AS
    regexp_full_match(text, 'urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+(:[^:\s]+)?');
-- Attempts of an event that always fails; the cloud's number may be as large as a number can be.
CREATE MACRO attempts(retries) AS CASE WHEN retries < 1000000000000000000 THEN 1 + retries ELSE retries END;
CREATE MACRO project_of(urn) AS split_part(urn, ':', 3) || '/' || split_part(urn, ':', 4);
CREATE MACRO qualifier_of(urn) AS CASE
    WHEN is_alias(urn) THEN split_part(urn, ':!', 2) ELSE split_part(urn, ':', 8) END;
CREATE MACRO answer_rank(status) AS
    CASE status WHEN 'configured' THEN 0 WHEN 'not_configured' THEN 1 WHEN 'not_found' THEN 2 WHEN 'failed' THEN 3 ELSE 4 END;
CREATE MACRO place_of(type, subject, target_urn, bucket, prefix, topic, stream) AS CASE type
    WHEN 'FunctionGraph' THEN target_urn
    WHEN 'OBS' THEN 'obs://' || bucket || '/' || coalesce(prefix, '')
    WHEN 'SMN' THEN topic
    WHEN 'DIS' THEN 'dis:' || split_part(subject, ':', 3) || ':' || split_part(subject, ':', 4) || ':' || stream
END;
