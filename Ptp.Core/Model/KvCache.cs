// Keys and values of earlier rows, per layer [capacity, G * K], keys already turned by RoPE.
// Only base rows are ever stored: slots of auxiliary rows are dropped, so one cache serves model and adapter. Hidden states of chosen
// layers [capacity, D] can be kept beside them, for heads that draft from what the verifier has computed anyway.
// Refuses: growth past its capacity, cropping forwards.

using Ptp.Core.Tensors;

namespace Ptp.Core.Model;

/// <summary>The cache of one sequence (or, with regions chosen by the caller, of several).</summary>
public sealed class KvCache
{
    private readonly CachedKeys[] _layers;
    private readonly Tensor?[] _states;
    private readonly IBackend _backend;
    private readonly int _width;
    private readonly Arena _views;

    /// <summary>An empty cache of <paramref name="capacity"/> entries.</summary>
    public KvCache(IBackend backend, TransformerConfig config, int capacity)
    {
        Guard.Require(capacity > 0, "Make a key-value cache", $"{capacity} entries", "at least one",
            "Choose a capacity of prompt plus new tokens plus slots.");
        (Capacity, _backend, _views) = (capacity, backend, new Arena(backend));
        _width = config.HiddenSize;
        _layers = new CachedKeys[config.Layers];
        _states = new Tensor?[config.Layers];
        for (var layer = 0; layer < config.Layers; layer++)
        {
            _layers[layer] = new CachedKeys(
                backend.Allocate(capacity, config.KeyValueWidth), backend.Allocate(capacity, config.KeyValueWidth));
        }
    }

    /// <summary>Entries it can hold.</summary>
    public int Capacity { get; }

    /// <summary>Entries in use, from the start.</summary>
    public int Length { get; private set; }

    /// <summary>Keys and values of a layer.</summary>
    public CachedKeys this[int layer] => _layers[layer];

    /// <summary>Hidden states behind block <paramref name="layer"/> of all entries, [capacity, D], or null if they are not kept.</summary>
    public Tensor? States(int layer) => _states[layer];

    /// <summary>Keeps hidden states behind a block from now on; entries that are already in use have none.</summary>
    public void KeepStates(int layer) => _states[layer] ??= _backend.Allocate(Capacity, _width);

    /// <summary>Counts <paramref name="entries"/> rows that a call has stored behind the old length.</summary>
    public void Append(int entries)
    {
        Guard.Require(entries >= 0 && Length + entries <= Capacity, "Append to the key-value cache",
            $"{entries} entries after {Length}", $"at most {Capacity} in all", "Make a larger cache.");
        Length += entries;
    }

    /// <summary>Of the entries from <paramref name="start"/> on keeps some, moved together, and forgets the others.</summary>
    /// <param name="start">The first entry that may go.</param>
    /// <param name="kept">Which to keep, counted from <paramref name="start"/>, in rising order.</param>
    public void Keep(int start, IReadOnlyList<int> kept)
    {
        for (var i = 0; i < kept.Count; i++)
        {
            Guard.Require(kept[i] >= i && (i == 0 || kept[i] > kept[i - 1]) && start + kept[i] < Length, "Keep entries of the key-value cache",
                $"entry {start + kept[i]} of {Length}", "rising entries within the cache", "Keep a path from the root on.");
            foreach (var layer in kept[i] == i ? [] : _layers)
            {
                Move(layer.Keys!, start + kept[i], start + i);
                Move(layer.Values!, start + kept[i], start + i);
            }

            foreach (var states in kept[i] == i ? [] : _states)
            {
                if (states is not null)
                {
                    Move(states, start + kept[i], start + i);
                }
            }
        }

        Length = start + kept.Count;
    }

    /// <summary>Forgets all entries from <paramref name="length"/> on.</summary>
    public void Crop(int length)
    {
        Guard.Require(length >= 0 && length <= Length, "Crop the key-value cache", $"length {length}",
            $"0 to {Length}", "Crop to a length that was reached before.");
        Length = length;
    }

    private void Move(Tensor entries, int from, int to)
    {
        _views.Reset();
        _backend.Copy(_views.View(entries, from, 1), _views.View(entries, to, 1));
    }
}
