-- Grants tokens of one tenant from all of its windows, or from none.
--
-- Why not a counter per window: a counter that starts anew at fixed moments lets twice the quota through around each of
-- them. Here every token carries the moment by which it will have been spent, and it counts from the moment it is
-- granted until one whole window after that. So whichever token is spent last in any sliding window, the call that
-- granted it saw all the others, and no sliding window holds more than its quota, however many workers ask.
--
-- A window is kept as GRAINS + 1 or more buckets of a grain each (window / GRAINS); a moment is rounded up to the end of its
-- bucket, against the caller. Time is this server's own, so that the clocks of the workers do not matter.
--
-- KEYS     1: the tenant's state; 2 (when the API key has limits of its own): that key's state. One hash tag: one slot.
-- ARGV[1]  JSON [[index in KEYS, grain in microseconds, quota], ...], one entry a window
-- ARGV[2]  JSON [urgent, extra, need, life, horizon, part, born, moves, debts]; times in microseconds
--            urgent   tokens that requests are waiting for         extra    tokens wanted beyond them, ahead of need
--            need     the least number that is of any use now      life     from when a token may be spent to when no more
--            horizon  how far ahead tokens may be promised         part     1 / part of what is left may be taken ahead of need
--            born     as in the last reply, or []
--            moves    [until, spent, count, ...]: tokens dated `until` that were spent by `spent`, or given back when 0
--            debts    [[age, count, ...], ...], a list a window: spent without asking while this server was away
-- Returns  [now, retry, born of each key, [from, until, count, ...], [remaining, ...], [reset, ...]]
--            retry: from now until `need` tokens can be had, -1 for never; 0 when some were granted
--            remaining: of each window after the grant; reset: from now until a window has more again

local GRAINS = 100
local GRAIN, BASE, SUM, OLDEST, HEAD = 1, 2, 3, 4, 4

local windows_asked = cjson.decode(ARGV[1])
local urgent, extra, need, life, horizon, part, born, moves, debts = unpack(cjson.decode(ARGV[2]))

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- State of a key: {last moment seen, correction of the clock, born, windows}; a window: {grain, number of the first bucket kept,
-- sum of all that count, place of the oldest that counts, counts ...}.
local states, last, correction = {}, 0, 0
for index, key in ipairs(KEYS) do
  local packed = redis.call('GET', key)
  local state = packed and cmsgpack.unpack(packed) or {0, 0, 0, {}}
  states[index] = state
  last = math.max(last, state[1])
  correction = math.max(correction, state[2])
end
-- A clock that was set back must not make old spending look like the future's: from then on it is corrected by the step.
if now + correction < last then correction = last - now end
now = now + correction

local known = true
local births = {}
for index, state in ipairs(states) do
  if state[3] == 0 then state[3] = now end
  births[index] = state[3]
  known = known and born[index] == state[3]
end

-- A bucket is named by the grain at whose end it ends; the first one kept stands right after the head.
local function place_of(series, moment)
  return math.ceil(moment / series[GRAIN]) - series[BASE] + HEAD + 1
end

local function leaves(series, place) -- when that bucket has left the window
  return (series[BASE] + place - HEAD - 1 + GRAINS) * series[GRAIN]
end

local function add(series, moment, count)
  local place = place_of(series, moment)
  if place < series[OLDEST] then return end -- no window holds it any more
  for gap = #series + 1, place do series[gap] = 0 end
  local changed = math.max(0, series[place] + count)
  series[SUM] = series[SUM] + changed - series[place]
  series[place] = changed
end

local function forget(series) -- what has left; the list itself is shortened now and then, to keep each call cheap
  local oldest = series[OLDEST]
  while oldest <= #series and leaves(series, oldest) <= now do
    series[SUM] = series[SUM] - series[oldest]
    oldest = oldest + 1
  end
  if oldest > #series then return {series[GRAIN], math.floor(now / series[GRAIN]) - GRAINS + 1, 0, HEAD + 1} end
  series[OLDEST] = oldest
  if oldest <= GRAINS / 2 then return series end
  local short = {series[GRAIN], series[BASE] + oldest - HEAD - 1, series[SUM], HEAD + 1}
  for place = oldest, #series do short[HEAD + 1 + place - oldest] = series[place] end
  return short
end

-- The windows asked about, in the order asked; those of another plan stay in the state until they have run out.
local windows = {}
for number, asked in ipairs(windows_asked) do
  local kept, grain = states[asked[1]][4], asked[2]
  local found = #kept + 1
  for at, series in ipairs(kept) do
    if series[GRAIN] == grain then found = at end
  end
  kept[found] = forget(kept[found] or {grain, 0, 0, HEAD + 1})
  windows[number] = {series = kept[found], quota = asked[3]}
end

for at = 1, #moves, 3 do
  for _, window in ipairs(windows) do
    -- After this server lost its memory there is nothing to take back; what was spent is still counted.
    if known then add(window.series, moves[at], -moves[at + 2]) end
    if moves[at + 1] > 0 then add(window.series, moves[at + 1], moves[at + 2]) end
  end
end
for number, window in ipairs(windows) do
  local owed = debts[number] or {}
  for at = 1, #owed, 2 do add(window.series, now - owed[at], owed[at + 1]) end
end

for _, window in ipairs(windows) do
  window.used, window.next = window.series[SUM], window.series[OLDEST]
  window.left = window.quota - window.used
end

-- What all windows allow at a later moment, if nothing more is granted until then. Moments are asked in order.
local function room_at(moment)
  local room = math.huge
  for _, window in ipairs(windows) do
    local series = window.series
    while window.next <= #series and leaves(series, window.next) <= moment do
      window.used = window.used - series[window.next]
      window.next = window.next + 1
    end
    room = math.min(room, window.quota - window.used)
  end
  return room
end

local function next_change() -- when the next bucket that holds anything leaves its window; nil when all are empty
  local soonest
  for _, window in ipairs(windows) do
    local series = window.series
    while window.next <= #series and series[window.next] == 0 do window.next = window.next + 1 end
    if window.next <= #series then
      local moment = leaves(series, window.next)
      if not soonest or moment < soonest then soonest = moment end
    end
  end
  return soonest
end

local grants, given = {}, 0
local function give(from, count)
  if count <= 0 then return end
  given = given + count
  grants[#grants + 1] = from
  grants[#grants + 1] = from + life
  grants[#grants + 1] = count
end

local room, moment, wanted = room_at(now), now, urgent + extra
if room >= need and wanted > 0 then
  give(now, math.max(math.min(urgent, room), math.min(wanted, math.ceil(room / part))))
end

-- Tokens that will come free are promised ahead, so that a worker need not ask for each; others are left their part.
while extra > 0 and given < wanted do
  moment = next_change()
  if not moment or moment > now + horizon then break end
  room = room_at(moment)
  give(moment, math.min(wanted, math.ceil(room / part)) - given)
end

local retry = 0
if given == 0 and wanted > 0 then
  moment = now
  while room < need do
    moment = next_change()
    if not moment then break end
    room = room_at(moment)
  end
  retry = moment and moment - now or -1
end

for at = 1, #grants, 3 do
  for _, window in ipairs(windows) do add(window.series, grants[at + 1], grants[at + 2]) end
end

local remaining, reset = {}, {}
for number, window in ipairs(windows) do
  local series = window.series
  local place = series[OLDEST]
  while place <= #series and series[place] == 0 do place = place + 1 end
  remaining[number] = math.max(0, window.left - given)
  reset[number] = place <= #series and leaves(series, place) - now or 0
end

for index, state in ipairs(states) do
  local kept, ends = {}, now
  for _, series in ipairs(state[4]) do
    local gone = leaves(series, #series)
    if series[SUM] > 0 and gone > now then
      kept[#kept + 1] = series
      ends = math.max(ends, gone)
    end
  end
  if #kept > 0 then
    local packed = cmsgpack.pack({now, correction, state[3], kept})
    redis.call('SET', KEYS[index], packed, 'PX', math.ceil((ends - now) / 1000) + 1000)
  end
end

return {now, retry, births, grants, remaining, reset}
