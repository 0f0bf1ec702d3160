-- Changes the version of the rooms in force, if the one that the change was made from still is.
--
-- KEYS: in_force ("switch number"), versions (hash: number -> "made text").
-- ARGV: the version that must be in force ("switch number"), how many versions are kept, then one of
--   "add" text | "to" number | "restore" "switch number" number "made text" or "".
-- Answer: "now" or "other" with the version in force, or "unknown".

local present = redis.call('GET', KEYS[1]) or '0 0'
if present ~= ARGV[1] then
  return { 'other', present }
end
local before = string.match(present, '%d+$')
local switch = string.format('%.0f', tonumber(string.match(present, '^%d+')) + 1)
local number, after = switch, switch .. ' ' .. switch
if ARGV[3] == 'add' then
  local time = redis.call('TIME')
  local made = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[2], number, made .. ' ' .. ARGV[4])
elseif ARGV[3] == 'to' then
  number = ARGV[4]
  if number ~= '0' and redis.call('HEXISTS', KEYS[2], number) == 0 then
    return { 'unknown', present }
  end
  after = switch .. ' ' .. number
else
  after, number = ARGV[4], ARGV[5]
  if ARGV[6] ~= '' then
    redis.call('HSET', KEYS[2], number, ARGV[6])
  end
end
redis.call('SET', KEYS[1], after)

local kept = redis.call('HKEYS', KEYS[2])
table.sort(kept, function(a, b) return tonumber(a) < tonumber(b) end)
local excess = #kept - tonumber(ARGV[2])
for i = 1, #kept do
  if excess > 0 and kept[i] ~= number and kept[i] ~= before then
    redis.call('HDEL', KEYS[2], kept[i])
    excess = excess - 1
  end
end
return { 'now', after }
