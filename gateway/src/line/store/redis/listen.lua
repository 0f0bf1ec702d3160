-- A gateway reports its active rooms, and gets those of all gateways.
--
-- KEYS: stirring (rooms by when they were last named), era (when the store was last found empty).
-- ARGV: time up to which the gateway has read, milliseconds for which a room is kept, then rooms.
-- Answer: time, era and server, rooms that were named since.

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = string.format('%.0f', now)
-- After a clock was set back: rooms named since have earlier times, and later ones would be named for ever.
local set_back = now < tonumber(ARGV[1])
local since = set_back and '-inf' or ARGV[1]

local named = {}
for i = 3, #ARGV do
  named[#named + 1] = text
  named[#named + 1] = ARGV[i]
end
for from = 1, #named, 1000 do
  call('ZADD', KEYS[1], unpack(named, from, math.min(from + 999, #named)))
end
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[2])))

local era = call('GET', KEYS[2])
if not era then
  era = time[1] .. '.' .. time[2]
  call('SET', KEYS[2], era)
end
-- The server's identity since its start.
local server = string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
local stirring = call('ZRANGEBYSCORE', KEYS[1], since, '+inf')
if set_back then
  call('ZREMRANGEBYSCORE', KEYS[1], '(' .. text, '+inf')
end
return { now, era .. ' ' .. server, stirring }
