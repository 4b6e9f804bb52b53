--- Options of loss.policy by the name of the paper they come from.
---
---   ml.loss.policy(logprobs, old, advantages, mask, { preset = "dapo" })
---   ml.loss.policy(logprobs, old, advantages, mask, { preset = "grpo", ref = ref })
---
--- advantage says what the advantages should be: "gae" (loss.gae, whitened), "std", "none" or "loo"
--- (loss.group's scale). kl_in = "reward" means that the KL belongs into the rewards
--- (loss.kl_rewards, before advantages are made), and the loss adds none. dr_grpo divides by a
--- constant and needs `length`, the longest answer that could have been.
return {
  ppo = {
    paper = "Schulman et al. 2017, arXiv 1707.06347; KL as in Ouyang et al. 2022, arXiv 2203.02155",
    advantage = "gae", ratio = "token", clip = { low = 0.2, high = 0.2 }, aggregate = "token",
    kl = "k1", kl_in = "reward", kl_coef = 0.05,
  },
  grpo = {
    paper = "Shao et al. 2024, arXiv 2402.03300",
    advantage = "std", ratio = "token", clip = { low = 0.2, high = 0.2 }, aggregate = "sequence",
    kl = "k3", kl_in = "loss", kl_coef = 0.04,
  },
  dr_grpo = {
    paper = "Liu et al. 2025, arXiv 2503.20783",
    advantage = "none", ratio = "token", clip = { low = 0.2, high = 0.2 }, aggregate = "constant",
  },
  dapo = {
    paper = "Yu et al. 2025, arXiv 2503.14476",
    advantage = "std", ratio = "token", clip = { low = 0.2, high = 0.28 }, aggregate = "token",
  },
  gspo = {
    paper = "Zheng et al. 2025, arXiv 2507.18071",
    advantage = "std", ratio = "sequence", clip = { low = 3e-4, high = 4e-4 },
    aggregate = "sequence",
  },
  cispo = {
    paper = "MiniMax 2025, arXiv 2506.13585; the cap of 5 is TRL's",
    advantage = "std", surrogate = "logprob", ratio = "token", clip = { high = 4 },
    aggregate = "token",
  },
  rloo = {
    paper = "Ahmadian et al. 2024, arXiv 2402.14740; the clip is TRL's, for more than one update",
    advantage = "loo", ratio = "sequence_sum", clip = { low = 0.2, high = 0.2 },
    aggregate = "sequence", kl = "k1", kl_in = "reward", kl_coef = 0.05,
  },
  reinforce = {
    paper = "Williams 1992, Machine Learning 8, 229-256; the baseline is the group's mean",
    advantage = "none", surrogate = "logprob", ratio = "none", clip = false, aggregate = "token",
  },
}
