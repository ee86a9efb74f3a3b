"""Tests of the pure functions. From this folder: python3 -m unittest"""

import unittest

from scoring import (
    Extraction, clean, extract, normalise, paired_interval, request_seed, samples_for_budget, vote,
    wilson)


def marked(*answers):
    return [Extraction(answer, True) for answer in answers]


class ExtractionTests(unittest.TestCase):
    def test_finds_the_marked_answer_however_it_is_decorated(self):
        for text, wanted in [
            ("2 + 2 is four.\nAnswer: 4", "4"),
            ("answer:4", "4"),
            ("**Answer:** 4", "4"),
            ("**Answer: 4**", "4"),
            ("**Answer**: 4.", "4"),
            ("### Final Answer: `4`", "4"),
            ("Final answer = 4", "4"),
            ("So the answer is 4.", "4"),
            ("The final answer is: $4$", "4"),
            ("Answer:\n\n4", "4"),
            ("Answer: **\n4**", "4"),
            ("Answer: $\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
            ("Hence \\boxed{4} holds.", "4"),
            ("<answer>\n4\n</answer>", "4"),
            ("Answer: up up right", "up up right"),
            ("Answer: ['4', '5']", "['4', '5']"),
            ("Answer: \"stop\"", "stop"),
            ("Answer: 07:30", "07:30"),
            ("Answer: -3.5", "-3.5"),
        ]:
            with self.subTest(text):
                self.assertEqual(extract(text), Extraction(wanted, True))

    def test_the_last_mark_wins(self):
        self.assertEqual(extract("Answer: 3\nNo, wait.\nAnswer: 4").answer, "4")
        self.assertEqual(extract("The answer is: the final answer is 4.").answer, "4")
        self.assertEqual(extract("\\boxed{3}\nAnswer: 4").answer, "4")

    def test_a_repeated_instruction_is_no_answer(self):
        self.assertEqual(extract("Answer: 4\nEnd with the line\nAnswer: ...").answer, "4")
        self.assertEqual(extract("Answer: 4\nAnswer: <your answer>").answer, "4")

    def test_talking_of_answers_is_no_mark(self):
        self.assertEqual(extract("Let me answer the question.\n12"), Extraction("12", False))

    def test_thoughts_are_not_read(self):
        self.assertEqual(extract("<think>Answer: 3</think>\nAnswer: 4").answer, "4")
        self.assertIsNone(extract("<think>Answer: 3 or so, but I was cut o"))

    def test_without_a_mark_it_is_the_last_line(self):
        self.assertEqual(extract("Well.\n\n  42.  \n"), Extraction("42", False))

    def test_nothing_has_no_answer(self):
        for text in (None, "", "  \n "):
            self.assertIsNone(extract(text))

    def test_cleaning_leaves_what_belongs_to_the_answer(self):
        for text in ("2 * 3 * 4", "'a', 'b'", "a...", "x_1", "[1, 2]", "10*(8 - 5)"):
            self.assertEqual(clean(text), text)


class VoteTests(unittest.TestCase):
    def test_numbers_vote_by_their_value(self):
        for group in (["1000", "1,000", "1000.0", "+1000", "**1000**"], ["0", "-0", "0.0"],
                      ["Yes", "yes.", " YES "], ["a, b", "a,b", "A ,b"]):
            self.assertEqual(len({normalise(answer) for answer in group}), 1, group)
        for one, other in [("1,00", "100"), ("1.5", "15"), ("-1", "1"), ("01:30", "1:30")]:
            self.assertNotEqual(normalise(one), normalise(other))

    def test_most_votes_win_as_first_written(self):
        self.assertEqual(vote(marked("7", "Yes.", "yes")), "Yes.")

    def test_equal_votes_go_to_the_first(self):
        self.assertEqual(vote(marked("7", "8")), "7")
        self.assertEqual(vote(marked("7", "8", "9", "8", "7")), "7")

    def test_unmarked_answers_vote_only_among_themselves(self):
        unmarked = [Extraction("so be it", False)] * 3
        self.assertEqual(vote(unmarked + marked("7")), "7")
        self.assertEqual(vote(unmarked), "so be it")

    def test_samples_without_an_answer_do_not_vote(self):
        self.assertEqual(vote([None, None] + marked("7")), "7")
        self.assertIsNone(vote([None]))
        self.assertIsNone(vote([]))


class IntervalTests(unittest.TestCase):
    def test_wilson_agrees_with_published_values(self):
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        for right, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                        (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]:
            found = wilson(right / count, count)
            self.assertAlmostEqual(found[0], low, 4)
            self.assertAlmostEqual(found[1], high, 4)

    def test_wilson_stays_between_0_and_1_and_knows_nothing_without_tasks(self):
        self.assertEqual(wilson(1.0, 3)[1], 1.0)
        self.assertEqual(wilson(0.0, 3)[0], 0.0)
        self.assertEqual(wilson(0.0, 0), (0.0, 1.0))

    def test_paired_interval_is_the_same_for_the_same_seed(self):
        differences = [1, 0, 0, -1, 1, 0, 1, 0]
        self.assertEqual(paired_interval(differences, 7), paired_interval(differences, 7))

    def test_paired_interval_holds_the_mean_and_narrows_with_more_tasks(self):
        few, many = [1, 0, 0, -1, 1], [1, 0, 0, -1, 1] * 40
        low, high = paired_interval(few, 1)
        self.assertTrue(low <= 0.2 <= high)
        narrow_low, narrow_high = paired_interval(many, 1)
        self.assertTrue(narrow_low <= 0.2 <= narrow_high)
        self.assertLess(narrow_high - narrow_low, high - low)

    def test_no_difference_at_all_has_no_interval(self):
        self.assertIsNone(paired_interval([0.0, 0.0], 1))
        self.assertIsNone(paired_interval([], 1))


class BudgetTests(unittest.TestCase):
    def test_the_nearest_whole_number_of_samples(self):
        for budget, each, wanted in [(400, 100, 4), (449, 100, 4), (450, 100, 5), (99, 100, 1),
                                     (1, 100, 1)]:
            self.assertEqual(samples_for_budget(budget, each, 16), wanted)

    def test_never_more_than_allowed(self):
        self.assertEqual(samples_for_budget(10_000, 10, 16), 16)

    def test_what_was_not_measured_gives_no_number(self):
        for budget, each in [(None, 10), (10, None), (10, 0), (0, 10)]:
            self.assertIsNone(samples_for_budget(budget, each, 16))


class SeedTests(unittest.TestCase):
    def test_seeds_repeat_and_differ_and_fit_31_bits(self):
        def seeds_of_a_run():
            return [request_seed(1, "direct", task, sample)
                    for task in range(20) for sample in range(5)]

        seeds = seeds_of_a_run()
        self.assertEqual(seeds, seeds_of_a_run())
        self.assertEqual(len(set(seeds)), 100)
        self.assertTrue(all(0 <= seed < 2**31 for seed in seeds))


if __name__ == "__main__":
    unittest.main()
