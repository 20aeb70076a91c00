-- The window of the last admission, counted from 1970, how many it admitted, and how many the one
-- before, which weigh as much as is left of the window. That is counted in units, so that products
-- stay exact: a window is a multiple of a unit, and a part of one counts in full.
algorithms["sliding-counter"] = function(key, limit, window, unit)
  local index, current, previous = load(key, ">I8I8I8")
  local units = window / unit

  -- The counts as they stand at `now`, and the window of then.
  local function turned(now)
    local at = math.floor(now / window)
    if at == index then return at, current, previous end
    if at == index + 1 then return at, 0, current end
    return at, 0, 0
  end

  -- The last moment of window `at` in which `count` weigh too much to leave `room`, both of admissions.
  local function light_at(at, count, room)
    return (at + 1) * window - math.floor(room * units / count) * unit
  end

  local function judge(now)
    local at, current, previous = turned(now)
    local weight = previous * math.ceil(((at + 1) * window - now) / unit)
    local free = math.floor((limit * units - weight) / units) - current
    local cost_at = 0
    if free < cost and current + cost <= limit then
      cost_at = light_at(at, previous, limit - current - cost)
    elseif free < cost then
      cost_at = light_at(at + 1, current, limit - cost)
    end
    local all_at = current > 0 and at + 2 or previous > 0 and at + 1 or 0
    return free, cost_at, all_at * window
  end

  local function take(now)
    local at, current, previous = turned(now)
    save(key, (at + 2) * window, ">I8I8I8", at, current + cost, previous)
    return (at + 2) * window
  end

  return index * window, judge, take
end
