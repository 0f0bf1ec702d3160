-- Changes the version of the rooms in force, if the one that the change was made from still is, and writes the line of the audit
-- that says so, if the last line still is the one that it names.
--
-- KEYS: in_force ("switch number"), versions (hash: number -> "made text"), audit (list of lines), head of the audit ("number hash").
-- ARGV: the version that must be in force ("switch number"), how many versions are kept, how many lines are kept, the head that must
--   be there or "", the next head or "" for no line, the line, then one of
--   "add" text | "to" number | "restore" "switch number" number "made text" or "" | "nothing".
-- Answer: "now" or "other" with the version in force, "behind" with the head of the audit, or "unknown".

local present = redis.call('GET', KEYS[1]) or '0 0'
local change = ARGV[7]
if change ~= 'nothing' and present ~= ARGV[1] then
  return { 'other', present }
end
local before = string.match(present, '%d+$')
local switch = string.format('%.0f', tonumber(string.match(present, '^%d+')) + 1)
local number, after = switch, switch .. ' ' .. switch
if change == 'to' then
  number = ARGV[8]
  if number ~= '0' and redis.call('HEXISTS', KEYS[2], number) == 0 then
    return { 'unknown', present }
  end
  after = switch .. ' ' .. number
end

if ARGV[5] ~= '' then
  local head = redis.call('GET', KEYS[4]) or ''
  if head ~= ARGV[4] then
    return { 'behind', head }
  end
  redis.call('SET', KEYS[4], ARGV[5])
  redis.call('RPUSH', KEYS[3], ARGV[6])
  redis.call('LTRIM', KEYS[3], -tonumber(ARGV[3]), -1)
end
if change == 'nothing' then
  return { 'now', present }
end

if change == 'add' then
  local time = redis.call('TIME')
  local made = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[2], number, made .. ' ' .. ARGV[8])
elseif change == 'restore' then
  after, number = ARGV[8], ARGV[9]
  if ARGV[10] ~= '' then
    redis.call('HSET', KEYS[2], number, ARGV[10])
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
