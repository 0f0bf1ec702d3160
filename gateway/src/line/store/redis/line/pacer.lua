-- Pacer -------------------------------------------------------------------------------------------

-- Called by other parts. The rest is in a block: a script has 200 local names at most.
local show_share, bound_for, speed, freed, mean_stay, moved, calls, shows, settle, end_windows,
  expect_speed, entering, rate_changed, mean_speed
do

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
  return clamp((shown + 4 * 0.9) / (called + 4), 0.02, 1)
end

function show_share()
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

-- Places of called shoppers who have not entered.
function entering()
  local by = curve()
  local h = share_by(by)
  return max(floor((claimants + expected(h, by)) / h), 0)
end

-- The bound of the speed that a share h of shows needs, in multiples of the rate.
function bound_for(h)
  return clamp(2 / h, 5, 50)
end

-- The present bound of the speed, moved towards what a share h of shows needs.
local function adapt_bound(h)
  local now_at, wanted = max(s.bound, 5), bound_for(h)
  local somebody_comes = false
  for _, cohort in ipairs(recent) do
    somebody_comes = somebody_comes or cohort.shown > 0
  end
  local step = now_at * seconds / 8
  if wanted < now_at then
    s.bound = max(now_at - step, wanted)
  elseif somebody_comes then
    s.bound = min(now_at + step, wanted)
  else
    s.bound = now_at
  end
  return s.bound
end

-- 0 while unknown.
function mean_speed()
  return s.known_for >= s.known_after and s.speed or 0
end

-- At a rate that may be less than the room's.
function speed(free, rate)
  local by, delay = curve()
  local h = share_by(by)
  local most = adapt_bound(h)
  if most * h < 1 and mean_speed() <= 0 then
    s.speed = 0
  end
  local able = free and min(rate, min(s.flow, rate) + free / (delay + standing(rate))) or rate
  local ahead = delay + standing(able)
  local lack = able * ahead - claimants - expected(h, by)
  return clamp((able + lack / max(0.4, seconds)) / h, 0, most * rate)
end

local function mean(before, events, memory)
  return before + (events - before * seconds) / (seconds + memory)
end

function freed(seats, taken_now)
  s.flow = mean(s.flow, seats, 5)
  local memory = 2 * taken_now + 20
  local keep = memory / (memory + seats)
  s.left = s.left * keep + seats
  s.sat = s.sat * keep + taken_now * elapsed / 1000
end

-- How long a seat is taken; 0 while unknown.
function mean_stay()
  return s.left > 0 and s.left >= taken() and s.sat / s.left or 0
end

function moved(places)
  if s.speed > 0 then
    s.known_for = s.known_for + seconds
    s.speed = mean(s.speed, places, min(s.known_for, max(15, s.known_after)))
  end
end

function rate_changed(before)
  if rate == before then
    return
  elseif mean_speed() <= 0 then
    s.speed = 0
  elseif rate < before then
    s.speed = min(s.speed, rate / show_share())
  else
    s.speed = s.speed * rate / before
  end
end

function calls(from, to)
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

function shows(n, n_text)
  for i = #recent, 1, -1 do
    local cohort = recent[i]
    if cohort.from < n and n <= cohort.to then
      if call('ZADD', CAME, n_text, n_text) == 1 then
        cohort.shown = cohort.shown + 1
        local age = floor(cohort.age / COHORT) + 1
        came[age] = came[age] + 1
      end
      return
    end
  end
end

function settle()
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
    call('ZREMRANGEBYSCORE', CAME, int(cohort.from + 1), int(cohort.to))
    local last = words(call('LINDEX', SETTLED, -1) or '')
    if last[2] == cohort.from and now - s.stood < last[3] + SETTLED_STEP then
      call('LSET', SETTLED, -1, int(last[1]) .. ' ' .. int(cohort.to) .. ' ' .. int(last[3]))
    else
      call('RPUSH', SETTLED, int(cohort.from) .. ' ' .. int(cohort.to) .. ' ' .. int(now - s.stood))
    end
  end
end

function end_windows()
  local left = SETTLED_STEP + max(rules.claim_window - SHOW_WITHIN, 0)
  while true do
    local first = call('LINDEX', SETTLED, 0)
    local settled = first and words(first)
    if not settled or now - s.stood < settled[3] + left then
      return
    end
    local from, to = settled[1], settled[2]
    local segment = segment_of(to)
    local claimed = 0
    if segment then
      local range = { int(from + 1 - segment.base), int(to - segment.base) }
      claimed = call('BITCOUNT', claims_of(segment), range[1], range[2], 'BIT')
    end
    s.no_shows = s.no_shows + (to - from) - claimed
    call('LPOP', SETTLED)
  end
end

function expect_speed()
  if s.speed <= 0 and s.easing == 0 and waiting() > 0 then
    local by = curve()
    if evidence(by) >= 2 * rate + 20 then
      local h = share_by(by)
      s.speed, s.known_for = rate / h, 2
      s.known_after = 2 + (1 - h) * (60 / rate + SHOW_WITHIN / 1000)
    end
  end
end

end

