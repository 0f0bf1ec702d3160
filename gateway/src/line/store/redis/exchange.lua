-- A gateway reports itself, and gets the others and the version in force.
--
-- KEYS: format, in_force ("switch number"), versions (hash: number -> "made text"), gateways (hash: incarnation -> "time text"),
--   head of the audit ("number hash").
-- ARGV: incarnation, text, switch that the gateway knows, milliseconds after which a silent gateway is forgotten.
-- Answer: switch, number, "made text" of the version in force or "", texts of the gateways, head of the audit or "", time.

local refused = claim_format()
if refused then
  return refused
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[4], ARGV[1], string.format('%.0f %s', now, ARGV[2]))

local texts = {}
local all = redis.call('HGETALL', KEYS[4])
for i = 1, #all, 2 do
  local told, text = string.match(all[i + 1], '^(%d+) (.*)$')
  -- The distance, not the difference: a clock that was set back must not keep dead gateways alive.
  if told and math.abs(now - tonumber(told)) <= tonumber(ARGV[4]) then
    texts[#texts + 1] = text
  else
    redis.call('HDEL', KEYS[4], all[i])
  end
end

local switch, number = string.match(redis.call('GET', KEYS[2]) or '0 0', '^(%d+) (%d+)$')
local version = ''
if switch ~= ARGV[3] then
  version = redis.call('HGET', KEYS[3], number) or ''
end
return { switch, number, version, texts, redis.call('GET', KEYS[5]) or '', string.format('%.0f', now) }
