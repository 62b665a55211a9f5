-- Functions that rules can use. A canonical URN has 8 fields: latest is added where the exported URN has no qualifier.

CREATE MACRO canonical(urn) AS
    CASE WHEN length(urn) - length(replace(urn, ':', '')) = 7 THEN urn ELSE urn || ':latest' END;
CREATE MACRO function_of(urn) AS substr(urn, 1, length(urn) - instr(reverse(urn), ':'));
CREATE MACRO is_alias(urn) AS contains(urn, ':!');
CREATE MACRO is_function_urn(text) AS
    regexp_full_match(text, 'urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+(:[^:\s]+)?');
CREATE MACRO project_of(urn) AS split_part(urn, ':', 3) || '/' || split_part(urn, ':', 4);
CREATE MACRO answer_rank(status) AS
    CASE status WHEN 'configured' THEN 0 WHEN 'not_configured' THEN 1 WHEN 'not_found' THEN 2 WHEN 'failed' THEN 3 ELSE 4 END;
