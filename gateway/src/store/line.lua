-- One transition of one line: `Line::apply` of policy/src/line.rs and its drain, said again in Lua.
--
-- The same arithmetic on the same doubles in the same order: every answer equals that of the Rust
-- code, and gateway/tests/redis_store.rs holds the two against each other. Whoever changes one
-- changes both; why things are so is told there.
--
-- What a line costs here does not depend on who waits: claimants are kept by differences, so a
-- call works on what its batch changes. What is absent: any key that is not in KEYS.

local LINE = KEYS[1] -- hash: counters, bucket, drain
local CLAIMED = KEYS[2] -- bit n: ticket n was claimed or given up
local CAME = KEYS[3] -- bit n: the holder of n came while its cohort was recent
local ACTIVE = KEYS[4] -- live passes by their end
local HERE = KEYS[5] -- claimants who wait at a gateway now, by number
local NAMED_BY = KEYS[6] -- the same, by gateway
local GONE = KEYS[7] -- claimants who were let go without a token, by when they were last named
local GATEWAYS = KEYS[8] -- gateways by the time of their last batch
local SETTLED = KEYS[9] -- list of "number time": cohorts until their claim window ends
local REVOKED = KEYS[10] -- list of "number end": passes given back
local ADOPTED = KEYS[11] -- list of "run first count base": provisional tickets with numbers

local call, floor, min, max = redis.call, math.floor, math.min, math.max

local function clamp(x, low, high)
  return max(low, min(x, high))
end

-- An integer below 2^53, and a double, as texts that lose nothing.
local function int(n)
  return string.format('%.0f', n)
end

local function real(x)
  return string.format('%.17g', x)
end

-- Calls a command with many arguments, a thousand at a time.
local function each(command, key, args)
  for from = 1, #args, 1000 do
    call(command, key, unpack(args, from, min(from + 999, #args)))
  end
end

-- The words of a text, as numbers.
local function words(text)
  local list = {}
  for word in string.gmatch(text, '%S+') do
    list[#list + 1] = tonumber(word)
  end
  return list
end

-- Arguments ---------------------------------------------------------------------------------------

local at = 0
local function text()
  at = at + 1
  return ARGV[at]
end

-- A number; nil for an empty text.
local function number()
  return tonumber(text())
end

local function texts()
  local list = {}
  for i = 1, number() do
    list[i] = text()
  end
  return list
end

local now = number() -- tests only: a gateway leaves it to the server's clock
local rate, burst, seats = number(), number(), number()
local session, claim_window = number(), number()
local open, enforced = number() == 1, number() == 1
local gateway, revocations_seen = text(), number()
local joins, joins_if_called = number(), number()
local adopt_run, adopt_first, adopt_count = text(), number(), number()
local claims, renewals, releases = texts(), texts(), texts()

local unlimited = open and not enforced

-- State -------------------------------------------------------------------------------------------

local FIELDS = {
  'epoch', 'generation', 'next', 'serving', 'now', 'granted', 'no_shows', 'over_limit',
  'carry', 'bucket', 'rate', 'windows_ended', 'revocations_forgotten', 'freed',
  'called', 'shown', 'speed', 'known_for', 'flow',
}
local AGES, COHORT, SETTLED_STEP = 13, 200, 5000
local SHOW_WITHIN = COHORT * AGES

if not now then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local s = {} -- the fields
local came = {} -- who came at each age
local recent = {} -- cohorts, oldest first: from < n <= to
do
  local kept = call('HMGET', LINE, 'came', 'recent', unpack(FIELDS))
  for i, name in ipairs(FIELDS) do
    s[name] = tonumber(kept[i + 2] or 0)
  end
  if not kept[3] then
    s.epoch, s.now, s.rate = floor(now / 1000), now, math.huge
  end
  came = words(kept[1] or string.rep('0 ', AGES))
  local cohorts = words(kept[2] or '')
  for i = 1, #cohorts, 4 do
    local cohort = { from = cohorts[i], to = cohorts[i + 1], age = cohorts[i + 2], shown = cohorts[i + 3] }
    recent[#recent + 1] = cohort
  end
end

now = max(now, s.now)
local elapsed = min(now - s.now, 1000)
local seconds = elapsed / 1000
s.now = now
local active, claimants = 0, 0 -- sizes of ACTIVE, and of NAMED_BY and GONE; known once time has passed

-- Drain -------------------------------------------------------------------------------------------

local function called_of(cohort)
  return cohort.to - cohort.from
end

-- Share of shows by each age, and their mean delay in seconds.
local function curve()
  local counts, total = {}, 0
  for age = 1, AGES do
    counts[age] = came[age] + (age <= 6 and 4 or 0)
    total = total + counts[age]
  end
  local by, delay = { [0] = 0 }, 0
  for age = 1, AGES do
    local share = counts[age] / total
    by[age] = by[age - 1] + share
    delay = delay + share * (age - 1 + 0.5) * COHORT / 1000
  end
  return by, delay
end

local function come_by(by, age)
  local step = min(floor(age / COHORT), AGES - 1)
  local part = min(age / COHORT - step, 1)
  return by[step] + part * (by[step + 1] - by[step])
end

local function evidence(by)
  local called, shown = s.called, s.shown
  for _, cohort in ipairs(recent) do
    called = called + called_of(cohort) * come_by(by, cohort.age)
    shown = shown + cohort.shown
  end
  return called, shown
end

local function share_by(by)
  local called, shown = evidence(by)
  return clamp((shown + 4 * 0.9) / (called + 4), 0.05, 1)
end

local function show_share()
  local by = curve()
  return share_by(by)
end

local function expected(h, by)
  local sum = 0
  for _, cohort in ipairs(recent) do
    local f = come_by(by, cohort.age)
    sum = sum + (called_of(cohort) - cohort.shown) * h * (1 - f) / max(1 - h * f, 0.01)
  end
  return sum
end

local function standing(flow)
  return 0.16 + 6 / (flow + 1)
end

local function speed(free)
  local by, delay = curve()
  local h = share_by(by)
  local flow = free and min(s.flow, rate) or rate
  local ahead = delay + standing(flow)
  local able = free and min(rate, flow + free / ahead) or rate
  local lack = able * ahead - claimants - expected(h, by)
  return clamp((able + lack / max(0.4, seconds)) / h, 0, 5 * rate)
end

local function mean(before, events, memory)
  return before + (events - before * seconds) / (seconds + memory)
end

local function moved(from, to)
  if s.speed > 0 then
    s.known_for = s.known_for + seconds
    s.speed = mean(s.speed, to - from, min(s.known_for, 15))
  end
  if to == from then
    return
  end
  local last = recent[#recent]
  if last and last.age < COHORT and last.to == from then
    last.to = to
  else
    recent[#recent + 1] = { from = from, to = to, age = 0, shown = 0 }
  end
end

local function shows(n, n_text)
  for i = #recent, 1, -1 do
    local cohort = recent[i]
    if n > cohort.to then
      return
    end
    if n > cohort.from then
      if call('SETBIT', CAME, n_text, 1) == 0 then
        cohort.shown = cohort.shown + 1
        local age = floor(cohort.age / COHORT) + 1
        came[age] = came[age] + 1
      end
      return
    end
  end
end

local function settle()
  for _, cohort in ipairs(recent) do
    cohort.age = cohort.age + elapsed
  end
  while recent[1] and recent[1].age >= SHOW_WITHIN do
    local cohort = table.remove(recent, 1)
    local memory = 0.5 * rate / show_share() + 30
    local keep = memory / (memory + called_of(cohort))
    s.called = s.called * keep + called_of(cohort)
    s.shown = s.shown * keep + cohort.shown
    for age = 1, AGES do
      came[age] = came[age] * keep
    end
    local last = call('LINDEX', SETTLED, -1)
    local since = last and words(last)[2]
    if since and now < since + SETTLED_STEP then
      call('LSET', SETTLED, -1, int(cohort.to) .. ' ' .. int(since))
    else
      call('RPUSH', SETTLED, int(cohort.to) .. ' ' .. int(now))
    end
  end
end

local function window_ended()
  local left = SETTLED_STEP + max(claim_window - SHOW_WITHIN, 0)
  local ended
  while true do
    local first = call('LINDEX', SETTLED, 0)
    local settled = first and words(first)
    if not settled or now < settled[2] + left then
      return ended
    end
    ended = settled[1]
    call('LPOP', SETTLED)
  end
end

local function expect_speed()
  if s.next > s.serving and s.speed <= 0 then
    local by = curve()
    if evidence(by) >= 3 * rate + 30 then
      s.speed = rate / share_by(by)
      s.known_for = 3
    end
  end
end

-- Line: time passes -------------------------------------------------------------------------------

-- Claimants who do not wait at their gateway any more.
local function leave(numbers, last_named)
  local gone = {}
  for _, n in ipairs(numbers) do
    gone[#gone + 1] = last_named
    gone[#gone + 1] = n
  end
  each('ZREM', HERE, numbers)
  each('ZREM', NAMED_BY, numbers)
  each('ZADD', GONE, gone)
end

local function forget_claimants()
  for _, silent in ipairs(call('ZRANGEBYSCORE', GATEWAYS, '-inf', int(now - 300))) do
    leave(call('ZRANGEBYSCORE', NAMED_BY, silent, silent), call('ZSCORE', GATEWAYS, silent))
    call('ZREM', GATEWAYS, silent)
  end
  call('ZREMRANGEBYSCORE', GONE, '-inf', int(now - 2000))
  claimants = call('ZCARD', NAMED_BY) + call('ZCARD', GONE)
end

local function end_passes()
  while true do
    local first = call('LINDEX', REVOKED, 0)
    if not first or words(first)[2] > now then
      break
    end
    call('LPOP', REVOKED)
    s.revocations_forgotten = s.revocations_forgotten + 1
  end
  s.freed = s.freed + call('ZREMRANGEBYSCORE', ACTIVE, '-inf', int(now))
  active = call('ZCARD', ACTIVE)
end

-- Seats that nobody sits on; nil if the room counts none.
local function free()
  return enforced and seats and max(seats - active, 0) or nil
end

local function fill()
  local stands = s.next > s.serving or claimants > 0
  local room = stands and min(burst, 1 + 0.1 * rate) or burst
  s.bucket = min(s.bucket + min(s.rate, rate) * elapsed / 1000, room)
end

local function whole_carry()
  local whole = floor(s.carry)
  s.carry = s.carry - whole
  return whole
end

local function move()
  local before, seats_free = s.serving, free()
  if s.next > before then
    s.carry = s.carry + speed(seats_free) * seconds
    s.serving = min(before + whole_carry(), s.next)
    moved(before, s.serving)
  else
    s.speed = 0
    s.carry = s.carry + rate * seconds
    local spare = min(floor(burst), seats_free or math.huge)
    s.serving = max(min(before + whole_carry(), s.next + spare), before)
  end
end

local function advance()
  forget_claimants()
  end_passes()
  s.flow = mean(s.flow, s.freed, 5)
  s.freed = 0
  settle()
  expect_speed()
  local to = window_ended()
  if to then
    local from = min(s.windows_ended, to)
    s.no_shows = s.no_shows + (to - from) - call('BITCOUNT', CLAIMED, int(from + 1), int(to), 'BIT')
    s.windows_ended = to
  end
  if open then
    fill()
    move()
  else
    s.bucket = 0
  end
  s.rate = rate
end

-- Line: what is asked -----------------------------------------------------------------------------

local function release(n_text)
  local n = tonumber(n_text)
  if n == 0 or n > s.next then
    return
  end
  call('SETBIT', CLAIMED, n_text, 1)
  claimants = claimants - call('ZREM', NAMED_BY, n_text) - call('ZREM', GONE, n_text)
  call('ZREM', HERE, n_text)
  local ends = call('ZSCORE', ACTIVE, n_text)
  if ends then
    call('ZREM', ACTIVE, n_text)
    active = active - 1
    s.freed = s.freed + 1
    call('RPUSH', REVOKED, n_text .. ' ' .. ends)
  end
end

-- The new end of each pass, -1 where it had ended.
local function renew()
  local ends = {}
  for i, n_text in ipairs(renewals) do
    ends[i] = -1
    if call('ZSCORE', ACTIVE, n_text) then
      ends[i] = now + session
      call('ZADD', ACTIVE, int(ends[i]), n_text)
    end
  end
  return ends
end

local function take(numbers)
  s.next = s.next + numbers
  if unlimited then
    s.serving = max(s.serving, s.next)
  end
  expect_speed()
end

local function adopt()
  local first = adopt_first
  for _, known in ipairs(call('LRANGE', ADOPTED, 0, -1)) do
    local run, known_first, known_count = string.match(known, '(%S+) (%S+) (%S+)')
    if run == adopt_run then
      first = max(first, known_first + known_count)
    end
  end
  local count = adopt_first + adopt_count - first
  if count > 0 then
    local adopted = { adopt_run, int(first), int(count), int(s.next + 1) }
    take(count)
    call('RPUSH', ADOPTED, table.concat(adopted, ' '))
  end
end

local NOT_YET, SPENT = -1, -2
local grants = {} -- number, then the end of its pass or one of these
local function answer(n, grant)
  grants[#grants + 1] = n
  grants[#grants + 1] = grant
end

local before = {} -- texts of this gateway's claimants in its last batch, and whether they are in this one
local named, sorted = {}, true -- claimants in this batch: numbers
local come = {} -- those among them who were not in the last one: texts

local function name(n, n_text)
  sorted = sorted and n > (named[#named] or 0)
  named[#named + 1] = n
  if before[n_text] == nil then
    come[#come + 1] = n_text
  end
  before[n_text] = true
end

local function claim()
  local last_named = call('ZSCORE', GATEWAYS, gateway)
  local last = call('ZRANGEBYSCORE', NAMED_BY, gateway, gateway)
  for _, n_text in ipairs(last) do
    before[n_text] = false
  end
  local called = min(s.serving, s.next)
  for _, n_text in ipairs(claims) do
    local n = tonumber(n_text)
    local known = before[n_text]
    if n == 0 or n > called then
      answer(n_text, NOT_YET)
    elseif known == nil and call('GETBIT', CLAIMED, n_text) == 1 then
      answer(n_text, tonumber(call('ZSCORE', ACTIVE, n_text) or SPENT))
    elseif not known then
      name(n, n_text)
      if known == nil and call('ZREM', GONE, n_text) == 0 and not call('ZSCORE', NAMED_BY, n_text) then
        claimants = claimants + 1
        shows(n, n_text)
      end
    end
  end
  local left = {}
  for _, n_text in ipairs(last) do
    if not before[n_text] then
      left[#left + 1] = n_text
    end
  end
  leave(left, last_named)
  call('ZADD', GATEWAYS, int(now), gateway)
end

-- Numbers that could be given and granted at this moment.
local function spare()
  if unlimited then
    return math.huge
  end
  local places = min(floor(s.bucket), free() or math.huge)
  return min(max(s.serving - s.next, 0), max(places - claimants, 0))
end

local function join()
  local first = s.next + 1
  local joined_if_called = min(joins_if_called, spare())
  take(joined_if_called + joins)
  for n = first, min(s.next, s.serving) do
    local n_text = int(n)
    name(n, n_text)
    claimants = claimants + 1
    shows(n, n_text)
  end
  return first, joined_if_called
end

local function spend()
  if enforced then
    s.bucket = s.bucket - 1
    return
  end
  if s.bucket < 1 or (seats and active >= seats) then
    s.over_limit = s.over_limit + 1
  end
  s.bucket = max(s.bucket - 1, 0)
end

local function arrive()
  local here, named_by = {}, {}
  for i, n_text in ipairs(come) do
    here[2 * i - 1], here[2 * i] = n_text, n_text
    named_by[2 * i - 1], named_by[2 * i] = gateway, n_text
  end
  each('ZADD', HERE, here)
  each('ZADD', NAMED_BY, named_by)
end

-- Gives the free tokens to the lowest claimants who are here; another gateway's keep theirs.
local function grant()
  if #named == 0 then
    return
  end
  arrive()
  if not sorted then
    table.sort(named)
  end
  local tokens = unlimited and math.huge or floor(s.bucket)
  local places = min(tokens, free() or math.huge)
  local out_of_reach = places < math.huge and call('ZRANGE', HERE, int(places), int(places))[1]
  local limit = tonumber(out_of_reach or math.huge)
  local ends = now + session
  local granted, passes = {}, {}
  for _, n in ipairs(named) do
    if n < limit then
      local n_text = int(n)
      spend()
      call('SETBIT', CLAIMED, n_text, 1)
      passes[#passes + 1] = int(ends)
      passes[#passes + 1] = n_text
      granted[#granted + 1] = n_text
      active = active + 1
      answer(n_text, ends)
    else
      answer(n, NOT_YET)
    end
  end
  each('ZREM', HERE, granted)
  each('ZREM', NAMED_BY, granted)
  each('ZADD', ACTIVE, passes)
  claimants = claimants - #granted
  s.granted = s.granted + #granted
end

-- The transition ----------------------------------------------------------------------------------

local function keep()
  local cohorts, counts, args = {}, {}, {}
  for _, cohort in ipairs(recent) do
    local cohort_text = { int(cohort.from), int(cohort.to), int(cohort.age), int(cohort.shown) }
    cohorts[#cohorts + 1] = table.concat(cohort_text, ' ')
  end
  for age = 1, AGES do
    counts[age] = real(came[age])
  end
  for _, field in ipairs(FIELDS) do
    args[#args + 1] = field
    args[#args + 1] = real(s[field])
  end
  call('HSET', LINE, 'came', table.concat(counts, ' '), 'recent', table.concat(cohorts, ' '), unpack(args))
end

advance()
for _, n_text in ipairs(releases) do
  release(n_text)
end
local renewed = renew()
if adopt_run ~= '' then
  adopt()
end
claim()
local first, joined_if_called = join()
grant()
keep()

local revoked = call('LRANGE', REVOKED, int(clamp(revocations_seen - s.revocations_forgotten, 0, 2 ^ 53)), -1)
local view = {
  s.epoch, s.generation, s.next, s.serving, now, real(s.speed), real(show_share()), claimants, active,
  s.granted, s.no_shows, s.over_limit,
}
local known = s.revocations_forgotten + call('LLEN', REVOKED)
return { view, call('LRANGE', ADOPTED, 0, -1), first, joined_if_called, grants, renewed, revoked, known }
