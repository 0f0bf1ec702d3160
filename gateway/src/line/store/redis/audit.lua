-- Lines of the audit from a number on, oldest first. They have no gap: the last one has the number of the head.
--
-- KEYS: audit (list of lines), head of the audit ("number hash").
-- ARGV: the number, how many lines at most.

local head = string.match(redis.call('GET', KEYS[2]) or '0', '^%d+')
local first = tonumber(head) - redis.call('LLEN', KEYS[1]) + 1
local from = math.max(tonumber(ARGV[1]) - first, 0)
return redis.call('LRANGE', KEYS[1], from, from + tonumber(ARGV[2]) - 1)
