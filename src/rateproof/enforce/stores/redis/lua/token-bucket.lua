-- How full of admissions the bucket is, and when it was: `unit` for each, of which `drain` run out
-- each microsecond. unit / drain is window / limit.
algorithms["token-bucket"] = function(key, burst, unit, drain)
  local last, level = load(key, ">I8I8")

  local function level_at(now) return math.max(0, level - (now - last) * drain) end

  -- When the level will have sunk by `excess`.
  local function sunk_at(now, excess) return excess > 0 and now + math.ceil(excess / drain) or 0 end

  local function judge(now)
    local level, size = level_at(now), burst * unit
    local free = math.floor((size - level) / unit)
    return free, sunk_at(now, level + cost * unit - size), sunk_at(now, level)
  end

  local function take(now)
    local level = level_at(now) + cost * unit
    local free_at = sunk_at(now, level)
    save(key, free_at, ">I8I8", now, level)
    return free_at
  end

  return last, judge, take
end
