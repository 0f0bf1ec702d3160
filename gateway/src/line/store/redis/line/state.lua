-- State -------------------------------------------------------------------------------------------

local FIELDS = {
  'forgotten', 'lost', 'now', 'granted', 'no_shows', 'over_limit',
  'server', 'skew', 'settling', 'sure', 'remembered', 'missing', 'missing_until',
  'lenders_before', 'lenders_told', 'lenders_unknown_for', 'second_passes',
  'carry', 'bucket', 'visits', 'rate', 'revocations_forgotten', 'freed',
  'called', 'shown', 'speed', 'known_for', 'known_after', 'flow', 'left', 'sat', 'bound',
  'places_told', 'places_called', 'places_moved',
  'idle', 'stood', 'easing',
  'sold', 'granted_before',
  'utc',
  'ordered', 'credit', 'credit_since', 'credit_earlier', 'earlier_since',
  'round', 'gathered', 'drawn', 'round_began',
  'skipped',
}
local AGES, COHORT, SETTLED_STEP = 13, 200, 5000
local SHOW_WITHIN = COHORT * AGES
local SPAN, MOST, ORIGIN, UNIT = 2 ^ 25, 8, 1767225600000, 4000
local GIVEN = 1024 * SPAN -- places that operators give: policy/src/segment.rs
local SETTLE, SETTLE_STEP, SETTLE_MORE, UNSURE, ALL = 1000, 100, 300, 5000, 2 ^ 53
local LEASE_KEPT = 35000
local GRACE = 30000
local ARRIVAL_LIFE, MOST_ARRIVALS = 60000, 2 ^ 18

if not server then
  -- 48 bits of the server's identity since its start.
  local id = string.match(call('INFO', 'server'), 'run_id:(%x+)')
  server = tonumber(string.sub(id, 1, 12), 16)
end

local function base_at(time)
  return floor(max(time - ORIGIN, 0) / UNIT) * SPAN
end

local function base_of(n)
  return floor(n / SPAN) * SPAN
end

local s = {} -- the fields
local came = {} -- shows at each age
local recent = {} -- cohorts, oldest call first: from < n <= to
local leases = {} -- loans, in order of gateway
local segments = {} -- oldest first; numbers are given in the last one
local caps = {} -- on the rate, in order of source
local stock = {} -- products, in order
do
  local kept = call('HMGET', LINE, 'came', 'recent', 'segments', 'leases', 'caps', 'stock', unpack(FIELDS))
  for i, name in ipairs(FIELDS) do
    s[name] = tonumber(kept[i + 6] or 0)
  end
  came = words(kept[1] or string.rep('0 ', AGES))
  local cohorts = words(kept[2] or '')
  for i = 1, #cohorts, 4 do
    local cohort = { from = cohorts[i], to = cohorts[i + 1], age = cohorts[i + 2], shown = cohorts[i + 3] }
    recent[#recent + 1] = cohort
  end
  local parts = words(kept[3] or '')
  for i = 1, #parts, 4 do
    local segment = { base = parts[i], next = parts[i + 1], serving = parts[i + 2], slot = parts[i + 3] }
    segments[#segments + 1] = segment
  end
  local lent = words(kept[4] or '')
  for i = 1, #lent, 6 do
    local lease = { gateway = lent[i], share = lent[i + 1], seats = lent[i + 2] }
    lease.left, lease.heard, lease.spent = lent[i + 3], lent[i + 4], lent[i + 5]
    leases[#leases + 1] = lease
  end
  local capped = words(kept[5] or '')
  for i = 1, #capped, 3 do
    caps[#caps + 1] = { key = capped[i], rate = capped[i + 1], ends = capped[i + 2] }
  end
  local stocked = words(kept[6] or '')
  for i = 1, #stocked, 5 do
    local level = { key = stocked[i], left = stocked[i + 1], held = stocked[i + 2] }
    level.since, level.said = stocked[i + 3], stocked[i + 4]
    stock[#stock + 1] = level
  end
  if #segments == 0 then
    local refused = claim_format()
    if refused then
      return refused
    end
    call('DEL', unpack(KEYS, 2))
    local base = base_at(now)
    segments[1] = { base = base, next = base, serving = base, slot = 0 }
    s.lost, s.now, s.rate, s.server = now, now, math.huge, server
    s.ordered = now
    s.places_told = math.huge
    s.lenders_unknown_for = LEASE_KEPT
  end
  s.utc = utc
end

-- The open segment, in which numbers are given.
local function current()
  return segments[#segments]
end

-- The segment of this number; nil if it is not known.
local function segment_of(n)
  for i = #segments, 1, -1 do
    local segment = segments[i]
    if n > segment.base then
      return n - segment.base < SPAN and segment or nil
    end
  end
end

local function waiting_in(segment)
  return max(segment.next - segment.serving, 0)
end

local function waiting()
  local sum = 0
  for _, segment in ipairs(segments) do
    sum = sum + waiting_in(segment)
  end
  return sum
end

local function has(n)
  local segment = segment_of(n)
  return segment and n <= segment.next
end

local function is_given_and_called(n)
  local segment = segment_of(n)
  return segment and n <= min(segment.next, segment.serving)
end

local function claims_of(segment)
  return KEYS[CLAIMED + segment.slot]
end

local function is_claimed(n)
  local segment = segment_of(n)
  return segment and call('GETBIT', claims_of(segment), int(n - segment.base)) == 1
end

local function mark_claimed(n)
  local segment = segment_of(n)
  if segment then
    call('SETBIT', claims_of(segment), int(n - segment.base), 1)
  end
end

-- The pass of this number came back, or has ended.
local function confirm(n)
  call('ZREM', UNCONFIRMED, wide(n))
end

-- Newcomers whose order is drawn: policy/src/line/rounds.rs.
local rounds = { lost = { id = 0, gathered = 0 }, FIRST = 2 ^ 31, SHORT = 10, DRY = 1, LEAST = UNIT, ID_UNIT = 500, LEFT_OUT = 16 }

function rounds.waiting()
  return max(s.gathered - s.drawn, 0)
end

function rounds.id_at(time)
  return rounds.FIRST + floor(max(time - ORIGIN, 0) / rounds.ID_UNIT)
end

-- The store has lost writes: the round ends, and a later one has another id, beyond the last one that the gateway knows.
function rounds.lose(known)
  rounds.lost = { id = s.round, gathered = s.gathered }
  s.round, s.gathered, s.drawn, s.round_began = max(s.round, known, rounds.id_at(s.now)) + rounds.LEFT_OUT, 0, 0, 0
end

local active, claimants = 0, 0 -- sizes of ACTIVE, and of NAMED_BY and GONE; known once time has passed

-- Seats that are taken, or may be.
local function taken()
  return active + s.missing
end

